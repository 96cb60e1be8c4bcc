using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Text;
using Coppice.Server.Rounds;
using Coppice.Server.Tests.Servers;
using Coppice.Tensors;
using RabbitMQ.Client;

namespace Coppice.Server.Tests.Rounds;

public sealed class RabbitQueueTests
{
    static readonly TimeSpan Long = WorkQueueContract.Long, Short = WorkQueueContract.Short;

    public static TheoryData<string> Contract => [.. typeof(WorkQueueContract).GetMethods().Where(method => method.GetCustomAttribute<FactAttribute>() is not null).Select(method => method.Name)];

    [RabbitTheory, MemberData(nameof(Contract))]
    public async Task Keeps_to_the_contract(string test)
    {
        await using RabbitName name = new();
        await (Task)typeof(WorkQueueContract).GetMethod(test)!.Invoke(new Queues(name), BindingFlags.DoNotWrapExceptions, null, null, null)!;
    }

    [RabbitFact]
    public async Task What_a_process_died_over_comes_to_another_and_what_it_did_does_not()
    {
        await using RabbitName name = new();
        await using IWorkQueue sender = name.Open(), other = name.Open();
        sender.Publish(1);
        sender.Publish(2);
        IWorkQueue dying = name.Open();
        Assert.Equal(1, await dying.Next(Long, default));
        Assert.Equal(2, await dying.Next(Long, default));
        await dying.DisposeAsync();
        Assert.Equal(2, await other.Next(Long, default));
        Assert.Null(await other.Next(Short, default));
    }

    [RabbitFact]
    public async Task Who_only_publishes_takes_nothing_away()
    {
        await using RabbitName name = new();
        await using IWorkQueue coordinator = name.Open(), aggregator = name.Open();
        for (long id = 1; id <= 5; id++)
        {
            coordinator.Publish(id);
            Assert.Equal(id, await aggregator.Next(Long, default));
        }
    }

    [RabbitFact]
    public async Task What_is_no_id_is_thrown_away()
    {
        await using RabbitName name = new();
        await using IWorkQueue queue = name.Open();
        queue.Publish(1);
        Assert.Equal(1, await queue.Next(Long, default));
        await name.With(channel => channel.BasicPublishAsync("", name.Name, Encoding.ASCII.GetBytes("round one")).AsTask());
        queue.Publish(2);
        Assert.Equal(2, await queue.Next(Long, default));
    }

    [RabbitFact]
    public async Task A_broker_that_is_away_holds_nobody_up_and_gets_what_was_published_when_it_is_back()
    {
        await using RabbitName name = new();
        int port = FreePort();
        List<string> told = [];
        await using IWorkQueue queue = name.Open(port, new Lines(told));
        Stopwatch watch = Stopwatch.StartNew();
        for (long id = 1; id <= 3; id++)
            queue.Publish(id);
        Assert.Null(await queue.Next(Short, default));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(30));

        // There from now on, and gone again twice in the middle.
        int messages = 0;
        using CuttingProxy proxy = new([RabbitName.Server], _ => ++messages is 12 or 30 ? Cut.Before : Cut.None, port);
        HashSet<long> came = [];
        for (long id = 4; came.Count < 40; id++)
        {
            queue.Publish(id);
            long? next = await queue.Next(Long, default);
            Assert.NotNull(next);
            came.Add(next.Value);
            Assert.InRange(id, 4, 200);
        }
        Assert.Equal(2, proxy.Cuts);
        Assert.Superset(new HashSet<long> { 1, 2, 3 }, came);
        lock (told)
        {
            Assert.Contains(told, line => line.StartsWith("the queue is away", StringComparison.Ordinal));
            Assert.Contains("the queue is back", told);
            Assert.DoesNotContain(told, line => line.Contains('\n', StringComparison.Ordinal));
        }
    }

    [Fact]
    public void An_address_that_cannot_be_one_is_one_line_without_the_password() =>
        Assert.DoesNotContain("secret", Assert.Throws<CoppiceException>(() => new RabbitQueue("http://anna:secret@localhost", "name", TimeProvider.System)).Message, StringComparison.Ordinal);

    static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    sealed class Queues(RabbitName name) : WorkQueueContract
    {
        internal override IWorkQueue Open() => name.Open();
    }

    sealed class Lines(List<string> lines) : IProgress<string>
    {
        public void Report(string value)
        {
            lock (lines)
                lines.Add(value);
        }
    }
}
