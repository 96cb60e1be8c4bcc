using System.Globalization;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Recipes;
using Coppice.Federation.Remote;
using Coppice.Federation.Robust;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Server.Certificates;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Http;

/// <summary>Runs that the server's process drives: clients over HTTP are channels like any other.</summary>
public sealed class LiveClientsTests : IAsyncLifetime
{
    const int Count = 3;

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly TemporaryFolder folder = new();
    readonly WorkerPool pool = new(1);
    readonly CancellationTokenSource stop = new();
    Authority authority = null!;
    SqliteRunStore store = null!;
    LiveClients clients = null!;
    FederationServer server = null!;

    public async Task InitializeAsync()
    {
        TimeProvider time = TimeProvider.System;
        authority = Authority.Create(folder.Path, time.GetUtcNow().AddDays(-1));
        authority.IssueServer(["localhost"], time.GetUtcNow());
        store = new SqliteRunStore(folder[SqliteRunStore.FileName], Durability.Process);
        for (int i = 0; i < Count; i++)
            store.Enrol(Tiny.Name(i), authority.IssueClient(Tiny.Name(i), time.GetUtcNow()).Thumbprint, time.GetUtcNow());
        clients = new LiveClients(new UploadStore(folder["uploads"]), new LiveSettings("run", "identity", Tiny.Context, LiveSettings.LimitFor(Tiny.Model()), Patience), time);
        server = await FederationServer.Start(clients, store, authority, new ServeOptions { PollSeconds = 0 }, time);
    }

    public async Task DisposeAsync()
    {
        stop.Cancel();
        await server.Stop();
        await server.DisposeAsync();
        store.Dispose();
        authority.Dispose();
        folder.Dispose();
        pool.Dispose();
    }

    IReadOnlyList<IClientChannel> Channels => [.. Enumerable.Range(0, Count).Select(i => clients.Channel(Tiny.Name(i)))];

    static Client Client(int i) => new(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), new WorkerPool(1));

    Task<int> Join(int i, Client? client = null) => Task.Run(async () =>
    {
        Uri address = new(string.Create(CultureInfo.InvariantCulture, $"https://localhost:{server.Port}/"));
        using RemoteClient remote = new(address, ClientIdentity.Load(folder[$"clients/{Tiny.Name(i)}.pem"], TimeProvider.System), new RemoteOptions { FirstWait = TimeSpan.FromMilliseconds(20), ChunkBytes = 1000, Patience = Patience });
        return await remote.Run(client ?? Client(i), stop.Token);
    });

    static FleetOptions Fleet => new() { CalibrationTokens = 10_000, ContextLength = Tiny.Context, Training = Tiny.Options with { LocalSteps = 2, Codec = new IdentityCodec() } };

    float[] Compress(IReadOnlyList<IClientChannel> channels, out FleetTraffic traffic)
    {
        const string Recipe = "name: r\nsteps:\n  - sparseGpt: { sparsity: 0.5 }\n  - fineTune: { tokens: 96, batchSize: 2, contextLength: 8 }\n  - gptq: { bits: 4, groupSize: 8 }\n";
        DecoderModel model = Tiny.Model();
        ClientTexts texts = new(channels, Fleet, pool, null, stop.Token);
        new CompressionPipeline(RecipeReader.Parse(Recipe, "r"), pool) { Holders = texts, Base = () => Tiny.Model() }.Run(model, [], cancel: stop.Token);
        traffic = texts.Traffic;
        return Tiny.Numbers(model);
    }

    [Fact]
    public async Task A_recipe_over_http_gives_the_numbers_of_one_in_this_process()
    {
        Task<int>[] joined = [.. Enumerable.Range(0, Count).Select(i => Join(i))];
        (float[] numbers, FleetTraffic traffic) = await Task.Run(() => (Compress(Channels, out FleetTraffic own), own)).WaitAsync(Patience);
        clients.End("done");
        int[] answered = await Task.WhenAll(joined).WaitAsync(Patience);
        await server.Farewell(Patience, TimeProvider.System, default);

        float[] here = Compress(Tiny.Channels(pool, Count), out FleetTraffic inProcess);
        Assert.Equal(here, numbers);
        Assert.Equal((inProcess.Steps, inProcess.BytesUp, inProcess.BytesDown), (traffic.Steps, traffic.BytesUp, traffic.BytesDown));
        Assert.Empty(traffic.Dropped);
        Assert.All(answered, count => Assert.Equal(traffic.Steps, count));
    }

    [Fact]
    public async Task Strategies_and_rules_that_a_durable_run_does_not_have_work_so()
    {
        FederatedOptions options = Tiny.Options with { Robust = RobustRegistry.Find("median"), Strategy = Coppice.Federation.Strategies.StrategyRegistry.Find("fedadam") };
        Task<int>[] joined = [.. Enumerable.Range(0, Count).Select(i => Join(i))];
        DecoderModel over = Tiny.Model(), here = Tiny.Model();
        await Task.Run(() => Simulation.Run(over, Channels, options)).WaitAsync(Patience);
        clients.End("done");
        await Task.WhenAll(joined).WaitAsync(Patience);
        Simulation.Run(here, Tiny.Channels(pool, Count), options);
        Assert.Equal(Tiny.Numbers(here), Tiny.Numbers(over));
    }

    [Fact]
    public async Task A_client_that_fails_is_dropped_with_its_reason_at_once()
    {
        FederatedOptions options = Tiny.Options with { Robust = RobustRegistry.Find("median"), Rounds = 1 };
        int[] foreign = [.. Tiny.Text(2), 99];
        Task<int>[] joined = [Join(0), Join(1), Join(2, new Client(Tiny.Name(2), foreign, new WorkerPool(1)))];
        RoundRecord record = (await Task.Run(() => Simulation.Run(Tiny.Model(), Channels, options)).WaitAsync(Patience))[0];
        clients.End("done");
        int[] answered = await Task.WhenAll(joined).WaitAsync(Patience);
        Assert.Equal([1, 1, 0], answered);
        Assert.Equal("client-2", Assert.Single(record.Dropped).Client);
        Assert.Contains("failed: task for client 'client-2': the text has token id 99", record.Dropped[0].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_whose_disk_is_full_is_one_client_less()
    {
        File.WriteAllText(folder["full"], "");
        Task<int>[] joined = [Join(0), Join(1), Join(2, new Client(Tiny.Name(2), Tiny.Text(2), new WorkerPool(1), journal: folder["full/state.safetensors"]))];
        RoundRecord record = (await Task.Run(() => Simulation.Run(Tiny.Model(), Channels, Tiny.Options with { Rounds = 1 })).WaitAsync(Patience))[0];
        clients.End("done");
        int[] answered = await Task.WhenAll(joined).WaitAsync(Patience);
        Assert.Equal([1, 1, 0], answered);
        Assert.Contains("could not be written", Assert.Single(record.Dropped).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failure_is_taken_once_and_an_answer_after_it_is_not()
    {
        Task<ReadOnlyMemory<byte>> asked = Task.Run(() => clients.Channel(Tiny.Name(0)).Exchange(new byte[10], default));
        AssignmentInfo? question = null;
        while (question is null)
        {
            Assert.False(asked.IsCompleted);
            question = clients.Take(Tiny.Name(0));
            await Task.Delay(2);
        }
        clients.Fail(Tiny.Name(0), question.Id, "no memory");
        clients.Fail(Tiny.Name(0), question.Id, "again");
        Assert.Equal("failed: no memory", (await Assert.ThrowsAsync<CoppiceException>(() => asked.WaitAsync(Patience))).Message);
        Assert.Equal(RefusedException.Unprocessable, Assert.Throws<RefusedException>(() => clients.Commit(Tiny.Name(0), question.Id, 1, new string('0', 64))).Status);
        Assert.Equal(RefusedException.Gone, Assert.Throws<RefusedException>(() => clients.Fail(Tiny.Name(0), question.Id + 1, "x")).Status);
    }

    [Fact]
    public async Task Clients_of_different_widths_over_http_give_the_numbers_of_a_run_in_this_process()
    {
        FederatedOptions options = Tiny.Options with { Widths = ClientWidths.Find("0.5,1") };
        Assert.False(RunSettings.CanBeStored(options));
        Task<int>[] joined = [.. Enumerable.Range(0, Count).Select(i => Join(i))];
        DecoderModel over = Tiny.Model(), here = Tiny.Model();
        await Task.Run(() => Simulation.Run(over, Channels, options)).WaitAsync(Patience);
        clients.End("done");
        await Task.WhenAll(joined).WaitAsync(Patience);
        Simulation.Run(here, Tiny.Channels(pool, Count), options);
        Assert.Equal(Tiny.Numbers(here), Tiny.Numbers(over));
    }

    [Fact]
    public async Task A_client_that_comes_late_is_told_so_and_the_run_goes_on_without_it()
    {
        Task<ReadOnlyMemory<byte>> asked = Task.Run(() => clients.Channel(Tiny.Name(0)).Exchange(new byte[10], default));
        AssignmentInfo? question = null;
        while (question is null)
        {
            Assert.False(asked.IsCompleted);
            question = clients.Take(Tiny.Name(0));
            await Task.Delay(2);
        }
        Assert.Null(clients.Take(Tiny.Name(1)));
        Assert.Equal(RefusedException.Gone, Assert.Throws<RefusedException>(() => clients.Task(Tiny.Name(1), question.Id)).Status);
        Assert.Equal(3, clients.Append(Tiny.Name(0), question.Id, 0, [1, 2, 3]));
        Assert.Equal((RefusedException.Conflict, 3), Refused(() => clients.Append(Tiny.Name(0), question.Id, 1, [1])));
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData([1, 2, 3]));
        Assert.Equal((RefusedException.Conflict, 3), Refused(() => clients.Commit(Tiny.Name(0), question.Id, 4, hash)));
        clients.Commit(Tiny.Name(0), question.Id, 3, hash);
        clients.Commit(Tiny.Name(0), question.Id, 3, hash);
        Assert.Equal([1, 2, 3], (await asked.WaitAsync(Patience)).ToArray());
        Assert.Equal(RefusedException.Conflict, Refused(() => clients.Commit(Tiny.Name(0), question.Id, 3, new string('0', 64))).Status);
        Assert.Equal(RefusedException.Gone, Refused(() => clients.Append(Tiny.Name(0), question.Id + 1, 0, [1])).Status);

        LiveClients hasty = new(new UploadStore(folder["other"]), new LiveSettings("run", "identity", 8, 1000, TimeSpan.FromMilliseconds(50)), TimeProvider.System);
        Assert.Contains("did not answer within 0.05 s", Assert.Throws<CoppiceException>(() => hasty.Channel("nobody").Exchange(new byte[1], default)).Message, StringComparison.Ordinal);
        hasty.End("over");
        Assert.Equal(RefusedException.Gone, Refused(() => hasty.Take("nobody")).Status);

        static (int Status, long? Offset) Refused(Action action) => Assert.Throws<RefusedException>(action) is var refused ? (refused.Status, refused.Offset) : default;
    }
}
