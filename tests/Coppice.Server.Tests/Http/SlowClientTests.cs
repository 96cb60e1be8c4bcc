using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Coppice.Federation.Remote;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Http;

/// <summary>Who sends next to nothing, to hold a place for as long as it likes (slow loris), is cut off, wherever it stops; the others are served meanwhile and after.</summary>
public sealed class SlowClientTests : IAsyncLifetime
{
    // When a test gives up; how long the server has patience is no test's business.
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    Served served = null!;

    public async Task InitializeAsync() =>
        served = await Served.Start(new RunSettings(Tiny.Options with { Rounds = 1 }), new ServeOptions { Uploads = 1, Grace = TimeSpan.FromSeconds(1.5), SlowestBody = 1 << 20 });

    public async Task DisposeAsync() => await served.DisposeAsync();

    [Fact]
    public async Task A_connection_that_never_shakes_hands_is_closed()
    {
        using TcpClient silent = await Connect();
        await Closed(silent.GetStream());
    }

    [Fact]
    public async Task Headers_that_never_end_close_their_connection()
    {
        using TcpClient connection = await Connect();
        using ClientIdentity identity = served.Identity("client-1");
        await using SslStream secured = new(connection.GetStream());
        await secured.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            EnabledSslProtocols = SslProtocols.Tls13,
            ApplicationProtocols = [SslApplicationProtocol.Http2],
            ClientCertificateContext = SslStreamCertificateContext.Create(identity.Certificate, null, offline: true),
            RemoteCertificateValidationCallback = (_, _, _, _) => true,
        });
        // RFC 9113: the preface, SETTINGS with nothing in it, and HEADERS of stream 1 without END_HEADERS: :method GET, and nothing after that.
        byte[] begun = [.. Encoding.ASCII.GetBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
        await secured.WriteAsync(begun);
        await secured.FlushAsync();
        await Closed(secured);
    }

    [Fact]
    public async Task A_body_that_comes_too_slowly_is_cut_off_and_its_place_is_free_again()
    {
        using HttpClient slow = served.Raw("client-0"), other = served.Raw("client-1");
        long id = served.Coordinator.Take("client-0")!.Id, second = served.Coordinator.Take("client-1")!.Id;
        using CancellationTokenSource end = new();
        Task<HttpResponseMessage> held = slow.SendAsync(Chunk(id, new DrippingContent(end.Token)));
        Task first = await Task.WhenAny(held, Until(() => served.Server.Uploading == 1));
        Assert.NotSame(held, first);
        await first;
        Assert.Contains("1 uploads are under way", await Served.Refused(429, await other.SendAsync(Chunk(second, new ByteArrayContent([1])))), StringComparison.Ordinal);

        bool granted;
        try
        {
            using HttpResponseMessage answer = await held.WaitAsync(Limit);
            granted = answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            granted = false;
        }
        Assert.False(granted, "a body that never ended was taken");
        await Until(() => served.Server.Uploading == 0);
        Assert.True((await other.SendAsync(Chunk(second, new ByteArrayContent([1])))).IsSuccessStatusCode);
        // What came is there, and goes on from there.
        Assert.InRange(served.Coordinator.Uploaded("client-0", id), 0, DrippingContent.Promised - 1);
        await end.CancelAsync();
    }

    static HttpRequestMessage Chunk(long id, HttpContent content) =>
        new(HttpMethod.Patch, $"v1/assignments/{id}/update") { Content = content, Version = HttpVersion.Version20, Headers = { { "Upload-Offset", "0" } } };

    async Task<TcpClient> Connect()
    {
        TcpClient client = new();
        await client.ConnectAsync(IPAddress.Loopback, served.Server.Port);
        return client;
    }

    // Reads whatever comes until the other side has closed.
    static async Task Closed(Stream stream)
    {
        byte[] buffer = new byte[1024];
        using CancellationTokenSource limit = new(Limit);
        try
        {
            while (await stream.ReadAsync(buffer, limit.Token) > 0)
            {
            }
        }
        catch (IOException reset)
        {
            Assert.IsType<SocketException>(reset.InnerException);
        }
    }

    static async Task Until(Func<bool> there)
    {
        using CancellationTokenSource limit = new(Limit);
        while (!there())
            await Task.Delay(2, limit.Token);
    }

    // A body of which a byte comes now and then.
    sealed class DrippingContent(CancellationToken end) : HttpContent
    {
        public const int Promised = 1000;

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            for (int sent = 0; sent < Promised; sent++)
            {
                await stream.WriteAsync(new byte[1], end);
                await stream.FlushAsync(end);
                await Task.Delay(200, end);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = Promised;
            return true;
        }
    }
}
