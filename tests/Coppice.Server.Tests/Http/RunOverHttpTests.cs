using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Remote;
using Coppice.Models;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Http;

public sealed class RunOverHttpTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    // One pool computes for one caller at a time.
    Client Client(int i, string? journal = null) => new(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), new WorkerPool(1), journal: journal);

    [Theory]
    [InlineData("int8", DownloadFormat.Float32)]
    [InlineData("int8-feedback", DownloadFormat.Float16)]
    [InlineData("identity", DownloadFormat.Float32)]
    public async Task A_run_over_http_equals_the_simulation_bit_for_bit(string codec, DownloadFormat download)
    {
        RunSettings settings = new(Tiny.Options with { Codec = CodecRegistry.Find(codec), Download = download });
        List<RoundRecord> told = [];
        await using Served served = await Served.Start(settings, new ServeOptions { Progress = new Told(told.Add) });
        Task<int>[] clients = [.. Enumerable.Range(0, 3).Select(i => Task.Run(async () =>
        {
            using RemoteClient remote = served.Remote(Tiny.Name(i));
            return await remote.Run(Client(i));
        }))];
        int[] committed = await Task.WhenAll(clients).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal([3, 3, 3], committed);
        Assert.Equal(RunState.Done, (await served.Server.Over).State);
        await served.Server.Farewell(TimeSpan.FromSeconds(10), TimeProvider.System, default);

        DecoderModel simulated = Tiny.Model(), remote = Tiny.Model();
        RoundRecord[] records = [.. Simulation.Run(simulated, Tiny.Channels(pool, 3), settings.Federation)];
        served.Coordinator.Model().CopyTo(remote);
        Assert.Equal(Tiny.Numbers(simulated), Tiny.Numbers(remote));
        Assert.Equal(records.Select(Facts), told.Select(Facts));

        static (int, double, double, long, string) Facts(RoundRecord record) => (record.Round, record.LossBefore, record.LossAfter, record.Float32BytesUp,
            string.Join(' ', record.Clients.Select(client => (client.Client, client.Samples, client.Norm))));
    }

    [Fact]
    public async Task A_client_that_cannot_train_says_why_and_no_round_waits_for_its_deadline()
    {
        await using Served served = await Served.Start(new RunSettings(Tiny.Options) { Deadline = TimeSpan.FromDays(300) });
        int[] foreign = [.. Tiny.Text(2), Tiny.Vocabulary + 7];
        Client[] clients = [Client(0), Client(1), new(Tiny.Name(2), foreign, new WorkerPool(1))];
        (int Committed, string? Failure)[] ends = await Task.WhenAll(clients.Select(client => Task.Run(async () =>
        {
            using RemoteClient remote = served.Remote(client.Id);
            return (await remote.Run(client), remote.Failure);
        }))).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal([3, 3, 0], ends.Select(end => end.Committed));
        Assert.Equal([null, null, $"task for client 'client-2': the text has token id {Tiny.Vocabulary + 7}, the model's vocabulary {Tiny.Vocabulary}; they do not belong together"], ends.Select(end => end.Failure));
        Assert.Equal(RunState.Done, (await served.Server.Over).State);
        foreach (RoundRow round in served.Store.Rounds(served.Coordinator.Run.Id))
        {
            Assert.Equal(["client-0", "client-1"], served.Store.Survivors(round.Id).Select(part => part.Client));
            Assert.Contains(ends[2].Failure!, served.Store.Answers(round.Id)[2].Assignment.Reason!, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_client_that_is_stopped_in_the_middle_of_an_upload_goes_on_where_it_was()
    {
        await using Served served = await Served.Start(new RunSettings(Tiny.Options with { Rounds = 1 }), clients: 1);
        string journal = served["state.safetensors"];
        long id = served.Coordinator.Take("client-0")!.Id;
        using MemoryStream task = new();
        await served.Coordinator.Task("client-0", id).Write(task, 0, default);
        ReadOnlyMemory<byte> update = Client(0, journal).Answer(task.ToArray());
        served.Coordinator.Append("client-0", id, 0, update.Span[..1234]);

        using RemoteClient remote = served.Remote("client-0");
        Assert.Equal(1, await remote.Run(Client(0, journal)).WaitAsync(TimeSpan.FromSeconds(30)));
        AnswerRow answer = Assert.Single(served.Store.Answers(served.Coordinator.Current.Id));
        Assert.Equal((update.Length, 2), ((int)answer.Update!.Bytes, answer.Assignment.Epoch));
        Assert.Equal(RunFolderHash(update.Span), answer.Update.Blob);

        static string RunFolderHash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes));
    }

    [Fact]
    public async Task Clients_bring_the_tokenizer_s_files_and_only_into_their_folder()
    {
        await using Served served = await Served.Start(new RunSettings(Tiny.Options), new ServeOptions { Tokenizer = [("tokenizer.json", [1, 2, 3]), ("tokenizer_config.json", [])] });
        using RemoteClient remote = served.Remote("client-1");
        await remote.FetchTokenizer(served["state"]);
        await remote.FetchTokenizer(served["state"]);
        Assert.Equal(["tokenizer.json", "tokenizer_config.json"], Directory.GetFiles(served["state"]).Select(Path.GetFileName).Order());
        Assert.Equal([1, 2, 3], File.ReadAllBytes(served["state/tokenizer.json"]));

        await using Served hostile = await Served.Start(new RunSettings(Tiny.Options), new ServeOptions { Tokenizer = [("../escaped", [1])] });
        using RemoteClient victim = hostile.Remote("client-1");
        Assert.Contains("'../escaped'", (await Assert.ThrowsAsync<CoppiceException>(() => victim.FetchTokenizer(hostile["state"]))).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(hostile["escaped"]));
    }

    [Fact]
    public async Task A_client_trusts_no_server_but_that_of_its_authority_under_its_name()
    {
        await using Served served = await Served.Start(new RunSettings(Tiny.Options));
        await using Served other = await Served.Start(new RunSettings(Tiny.Options));
        using RemoteClient stranger = new(served.Address, other.Identity("client-0"));
        Assert.Contains("not trusted", (await Assert.ThrowsAsync<CoppiceException>(() => stranger.Run(Client(0)))).Message, StringComparison.Ordinal);
        await using Served elsewhere = await Served.Start(new RunSettings(Tiny.Options), hosts: "elsewhere.example");
        using RemoteClient misled = elsewhere.Remote("client-0");
        Assert.Contains("not trusted", (await Assert.ThrowsAsync<CoppiceException>(() => misled.Run(Client(0)))).Message, StringComparison.Ordinal);
        Assert.Contains("https", Assert.Throws<CoppiceException>(() => new RemoteClient(new Uri("http://localhost/"), served.Identity("client-0"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_out_of_reach_for_too_long_is_given_up()
    {
        await using Served served = await Served.Start(new RunSettings(Tiny.Options));
        Uri address = served.Address;
        await served.Server.Stop();
        using RemoteClient remote = new(address, served.Identity("client-0"), new RemoteOptions { FirstWait = TimeSpan.FromMilliseconds(10), Patience = TimeSpan.FromMilliseconds(200) });
        Assert.Contains("out of reach", (await Assert.ThrowsAsync<CoppiceException>(() => remote.Run(Client(0)))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Health_is_told_on_a_loopback_port_of_its_own_and_nothing_else_there()
    {
        await using Served served = await Served.Start(new RunSettings(Tiny.Options), new ServeOptions { HealthPort = 0 });
        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{served.Server.HealthPort}/") };
        Assert.Equal(200, await Status("health/live"));
        Assert.Equal(200, await Status("health/ready"));
        Assert.Equal(404, await Status("v1/run"));

        async Task<int> Status(string path) => (int)(await http.GetAsync(path)).StatusCode;
    }

    sealed class Told(Action<RoundRecord> report) : IProgress<RoundRecord>
    {
        public void Report(RoundRecord value) => report(value);
    }
}
