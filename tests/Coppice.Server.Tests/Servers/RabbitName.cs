using System.Net;
using Coppice.Server.Rounds;
using RabbitMQ.Client;

namespace Coppice.Server.Tests.Servers;

/// <summary>The name of a queue of a test's own on the server, deleted in the end.</summary>
sealed class RabbitName : IAsyncDisposable
{
    /// <summary>Where the server listens.</summary>
    public static IPEndPoint Server => new Uri(TestServer.Rabbit.Address) is var address ? new(IPAddress.Parse(address.Host), address.Port) : throw new InvalidOperationException();

    public string Name { get; } = $"test-{Guid.NewGuid():N}";

    /// <summary>The queue of one process.</summary>
    public RabbitQueue Open() => new(TestServer.Rabbit.Address, Name, TimeProvider.System);

    /// <summary>The same over another way to the server.</summary>
    public RabbitQueue Open(int port, IProgress<string>? progress = null) => new(new UriBuilder(TestServer.Rabbit.Address) { Port = port }.Uri.ToString(), Name, TimeProvider.System, progress);

    /// <summary>Does something beside the test's queues.</summary>
    public async Task With(Func<IChannel, Task> work)
    {
        await using IConnection connection = await new ConnectionFactory { Uri = new Uri(TestServer.Rabbit.Address) }.CreateConnectionAsync();
        await using IChannel channel = await connection.CreateChannelAsync();
        await work(channel);
    }

    public async ValueTask DisposeAsync() => await With(channel => channel.QueueDeleteAsync(Name));
}
