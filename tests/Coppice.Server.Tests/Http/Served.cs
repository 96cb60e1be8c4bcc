using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Coppice.Federation;
using Coppice.Federation.Remote;
using Coppice.Models;
using Coppice.Server.Certificates;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tests.Federation;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Http;

/// <summary>A run served on a loopback port with certificates of its own, and clients to it.</summary>
sealed class Served : IAsyncDisposable
{
    readonly TemporaryFolder folder = new();
    readonly TimeProvider time = TimeProvider.System;
    readonly ChannelQueue queue = new(TimeProvider.System);

    Served(RunSettings settings, int clients, string[] hosts)
    {
        // Older than certificates that have expired.
        Authority = Authority.Create(folder.Path, time.GetUtcNow().AddDays(-30));
        Authority.IssueServer(hosts, time.GetUtcNow());
        Store = new SqliteRunStore(folder[SqliteRunStore.FileName], Durability.Process);
        for (int i = 0; i < clients; i++)
            Enrol(Tiny.Name(i));
        DecoderModel model = Tiny.Model();
        Coordinator = new Coordinator(Store, new BlobStore(folder["blobs"], Durability.Process), new UploadStore(folder["uploads"]), queue, settings, model.Config, ParameterSet.Copy(model), time);
    }

    public Authority Authority { get; }

    public IRunStore Store { get; }

    public Coordinator Coordinator { get; }

    public FederationServer Server { get; private set; } = null!;

    public Uri Address => new(string.Create(CultureInfo.InvariantCulture, $"https://localhost:{Server.Port}/"));

    public string this[string name] => folder[name];

    public static async Task<Served> Start(RunSettings settings, ServeOptions? options = null, int clients = 3, params string[] hosts)
    {
        Served served = new(settings, clients, hosts.Length > 0 ? hosts : ["localhost", "127.0.0.1"]);
        served.Server = await FederationServer.Start(served.Coordinator, served.queue, served.Store, served.Authority,
            (options ?? new ServeOptions()) with { PollSeconds = 0, Sweep = TimeSpan.FromMilliseconds(200) }, served.time);
        return served;
    }

    public void Enrol(string client, TimeSpan? validity = null, DateTimeOffset? issued = null) =>
        Store.Enrol(client, Authority.IssueClient(client, issued ?? time.GetUtcNow(), validity).Thumbprint, time.GetUtcNow());

    public ClientIdentity Identity(string client) => ClientIdentity.Load(folder[$"clients/{client}.pem"], time);

    public RemoteClient Remote(string client) => new(Address, Identity(client), new RemoteOptions { FirstWait = TimeSpan.FromMilliseconds(20), ChunkBytes = 1000, Patience = TimeSpan.FromSeconds(30) });

    /// <summary>A client that shows a certificate, or none, and sends whatever a test likes.</summary>
    public HttpClient Raw(X509Certificate2? certificate)
    {
        SocketsHttpHandler handler = new()
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
                CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { Authority.Certificate }, RevocationMode = X509RevocationMode.NoCheck },
            },
        };
        return new HttpClient(handler) { BaseAddress = Address, DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
    }

    public HttpClient Raw(string client) => Raw(Identity(client).Certificate);

    /// <summary>Asserts a refusal: a status, and one JSON object with one line.</summary>
    public static async Task<string> Refused(int status, HttpResponseMessage response)
    {
        JsonElement error = await response.Content.ReadFromJsonAsync<JsonElement>();
        string line = Assert.Single(error.EnumerateObject(), field => field.Name == "error").Value.GetString()!;
        Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode}: {line}");
        Assert.DoesNotContain('\n', line);
        return line;
    }

    public async ValueTask DisposeAsync()
    {
        await Server.Stop();
        await Server.DisposeAsync();
        Store.Dispose();
        Authority.Dispose();
        folder.Dispose();
    }
}
