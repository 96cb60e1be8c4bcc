using System.Net;
using Coppice.Federation;
using Coppice.Federation.Secure;
using Coppice.Models;
using Coppice.Server.Certificates;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>A server for clients that this process asks itself: those that are enrolled in a run's folder.</summary>
sealed class LiveServer : IAsyncDisposable
{
    static readonly TimeSpan FarewellTime = TimeSpan.FromSeconds(30);

    readonly Authority authority;
    readonly SqliteRunStore store;
    readonly LiveClients clients;
    readonly FederationServer server;

    LiveServer(Authority authority, SqliteRunStore store, LiveClients clients, FederationServer server, IReadOnlyList<IClientChannel> channels) =>
        (this.authority, this.store, this.clients, this.server, Channels) = (authority, store, clients, server, channels);

    /// <summary>The enrolled clients.</summary>
    public IReadOnlyList<IClientChannel> Channels { get; }

    /// <summary>The port of the protocol.</summary>
    public int Port => server.Port;

    /// <summary>Starts to listen.</summary>
    /// <exception cref="CoppiceException">The folder holds no run, nobody is enrolled, or the address cannot be had.</exception>
    public static async Task<LiveServer> Start(string folder, IPEndPoint listen, LanguageModel language, string codec, int context, TimeSpan deadline, TimeSpan promptDeadline, CancellationToken cancel)
    {
        if (!Authority.IsIn(folder))
            throw new CoppiceException($"{folder}: holds no federated run; 'coppice federate init {folder} --host NAME' makes one");
        Authority authority = Authority.Open(folder);
        SqliteRunStore store = new(Path.Combine(folder, SqliteRunStore.FileName));
        try
        {
            string[] names = [.. store.Clients().Where(client => client.Revoked is null).Select(client => client.Name)];
            if (names.Length == 0)
                throw new CoppiceException($"{folder}: no client is enrolled; 'coppice federate init {folder} --client NAME' enrols one");
            LiveClients clients = new(new UploadStore(Path.Combine(folder, "uploads")), new LiveSettings(Path.GetFileName(Path.GetFullPath(folder)), codec, context, LiveSettings.LimitFor((DecoderModel)language.Model), deadline) { PromptDeadline = promptDeadline }, TimeProvider.System)
            {
                Seen = new Told<string>(client => store.See(client, TimeProvider.System.GetUtcNow())),
            };
            FederationServer server = await FederationServer.Start(clients, store, authority, new ServeOptions { Listen = listen, Tokenizer = FederateServeCommand.TokenizerOf(language) }, TimeProvider.System, cancel);
            store.Log("run", $"one process drives it, with {names.Length} clients", TimeProvider.System.GetUtcNow());
            return new LiveServer(authority, store, clients, server, [.. names.Select(clients.Channel)]);
        }
        catch
        {
            store.Dispose();
            authority.Dispose();
            throw;
        }
    }

    /// <summary>What secure aggregation among these clients needs: who they are is what is enrolled, and what happens is noted in the store.</summary>
    public SecureHosting Hosting => new(new CertifiedSigners(authority.Certificate, TimeProvider.System, client => store.FindClient(client) is { Revoked: null } row ? row.Thumbprint : null))
    {
        Log = new Told<string>(line => store.Log("secure", line, TimeProvider.System.GetUtcNow())),
    };

    /// <summary>Tells clients that the run is over, for a while.</summary>
    public async Task End(string reason, CancellationToken cancel)
    {
        store.Log("run", reason, TimeProvider.System.GetUtcNow());
        clients.End(reason);
        await server.Farewell(FarewellTime, TimeProvider.System, cancel);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await server.Stop();
        await server.DisposeAsync();
        store.Dispose();
        authority.Dispose();
    }
}
