using System.Globalization;
using Coppice.Federation;
using Coppice.Federation.Remote;
using Coppice.Federation.Secure;
using Coppice.Server.Certificates;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Http;

/// <summary>A server on a loopback port whose process drives the run, and clients with certificates of their own that may take part with secure aggregation.</summary>
sealed class Live : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly TemporaryFolder folder = new();
    readonly CancellationTokenSource stop = new();
    readonly TimeProvider time = TimeProvider.System;
    readonly List<Task<int>> joined = [];
    readonly int count;

    Live(int count)
    {
        this.count = count;
        Authority = Authority.Create(folder.Path, time.GetUtcNow().AddDays(-1));
        Authority.IssueServer(["localhost"], time.GetUtcNow());
        Store = new SqliteRunStore(folder[SqliteRunStore.FileName], Durability.Process);
        for (int i = 0; i < count; i++)
            Store.Enrol(Tiny.Name(i), Authority.IssueClient(Tiny.Name(i), time.GetUtcNow()).Thumbprint, time.GetUtcNow());
        Clients = new LiveClients(new UploadStore(folder["uploads"]), new LiveSettings("run", "identity", Tiny.Context, LiveSettings.LimitFor(Tiny.Model()), Patience), time);
        Signers = new CertifiedSigners(Authority.Certificate, time, client => Store.FindClient(client) is { Revoked: null } row ? row.Thumbprint : null);
    }

    public Authority Authority { get; }

    public SqliteRunStore Store { get; }

    public LiveClients Clients { get; }

    public FederationServer Server { get; private set; } = null!;

    /// <summary>Who clients are, as the server knows it.</summary>
    public ISigners Signers { get; }

    public string this[string name] => folder[name];

    public static async Task<Live> Start(int count)
    {
        Live live = new(count);
        live.Server = await FederationServer.Start(live.Clients, live.Store, live.Authority, new ServeOptions { PollSeconds = 0 }, live.time);
        return live;
    }

    /// <summary>How the server hosts secure aggregation: what happens is noted in the store.</summary>
    public SecureHosting Hosting(ISigners? signers = null) => new(signers ?? Signers) { Log = new Noting(this) };

    /// <summary>What was noted of secure aggregation, in order.</summary>
    public string[] Noted => [.. Store.Events(500).Where(entry => entry.Kind == "secure").Select(entry => entry.Text)];

    public ClientIdentity Identity(int i) => ClientIdentity.Load(folder[$"clients/{Tiny.Name(i)}.pem"], time);

    /// <summary>The ways to the clients; a test may get in between.</summary>
    public IReadOnlyList<IClientChannel> Channels(Meddler? server = null) =>
        [.. Enumerable.Range(0, count).Select(i => Clients.Channel(Tiny.Name(i))).Select(channel => server is null ? channel : new Meddling(channel, server))];

    /// <summary>Lets all clients join, each a process of its own as far as it knows; a test may get in between here as well.</summary>
    public void JoinAll(Meddler? client = null)
    {
        for (int i = 0; i < count; i++)
        {
            int own = i;
            joined.Add(Task.Run(async () =>
            {
                ClientIdentity identity = Identity(own);
                using SecureChannel channel = SecureChannel.Certified(Client(own), identity, time, folder[$"{identity.Name}.json"], wanted: null, leastClients: 3);
                Uri address = new(string.Create(CultureInfo.InvariantCulture, $"https://localhost:{Server.Port}/"));
                using RemoteClient remote = new(address, identity, new RemoteOptions { FirstWait = TimeSpan.FromMilliseconds(20), Patience = Patience });
                return await remote.Run(client is null ? channel : new Meddling(channel, client), stop.Token);
            }));
        }
    }

    /// <summary>Ends the run and returns what each client has answered.</summary>
    public async Task<int[]> End()
    {
        Clients.End("done");
        return await Task.WhenAll(joined).WaitAsync(Patience);
    }

    public static Client Client(int i) => new(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), new WorkerPool(1));

    public async ValueTask DisposeAsync()
    {
        stop.Cancel();
        await Server.Stop();
        await Server.DisposeAsync();
        Store.Dispose();
        Authority.Dispose();
        folder.Dispose();
    }

    sealed class Noting(Live live) : IProgress<string>
    {
        public void Report(string value) => live.Store.Log("secure", value, live.time.GetUtcNow());
    }
}

/// <summary>Somebody between a server and a client.</summary>
/// <param name="client">The client.</param>
/// <param name="format">What it is asked.</param>
/// <param name="asked">The message.</param>
/// <param name="send">Sends a message on and gives the answer.</param>
delegate ReadOnlyMemory<byte> Meddler(string client, string format, ReadOnlyMemory<byte> asked, Func<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> send);

/// <summary>A channel with somebody in between.</summary>
sealed class Meddling(IClientChannel inner, Meddler meddler) : IClientChannel
{
    public string Client => inner.Client;

    public bool IsRemote => inner.IsRemote;

    public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, CancellationToken cancel) => Exchange(task, Pace.Work, cancel);

    public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, Pace pace, CancellationToken cancel) =>
        meddler(Client, Message.FormatOf("message", task), task, message => inner.Exchange(message, pace, cancel));
}
