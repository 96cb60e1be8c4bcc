using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Serialization.Metadata;
using Coppice.Formats;

namespace Coppice.Federation.Remote;

/// <summary>The requests of the protocol, one method each: HTTP/2 over TLS 1.3, both sides with certificates of one authority.</summary>
sealed class Connection : IDisposable
{
    const int LongestJson = 64 << 10;

    readonly HttpClient http;

    public Connection(Uri server, ClientIdentity identity)
    {
        SocketsHttpHandler handler = new()
        {
            ConnectTimeout = TimeSpan.FromSeconds(15),
            // A dead connection shows within half a minute, however long an answer takes.
            KeepAlivePingDelay = TimeSpan.FromSeconds(15),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(15),
            AllowAutoRedirect = false,
            UseProxy = false,
            SslOptions = new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificateContext = SslStreamCertificateContext.Create(identity.Certificate, additionalCertificates: null, offline: true),
                CertificateChainPolicy = new X509ChainPolicy
                {
                    TrustMode = X509ChainTrustMode.CustomRootTrust,
                    CustomTrustStore = { identity.Authority },
                    RevocationMode = X509RevocationMode.NoCheck,
                    DisableCertificateDownloads = true,
                },
            },
        };
        http = new HttpClient(handler) { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>The run.</summary>
    public async Task<RunInfo> Run(CancellationToken cancel)
    {
        using HttpResponseMessage response = await Send(HttpMethod.Get, "v1/run", null, cancel);
        return await Read(response, WireJson.Default.RunInfo, cancel);
    }

    /// <summary>What this client is asked, or when to ask again.</summary>
    public async Task<(AssignmentInfo? Assignment, TimeSpan RetryAfter)> Assignment(CancellationToken cancel)
    {
        using HttpResponseMessage response = await Send(HttpMethod.Post, "v1/assignments", null, cancel);
        return response.StatusCode == HttpStatusCode.NoContent
            ? (null, response.Headers.RetryAfter?.Delta ?? TimeSpan.FromSeconds(1))
            : (await Read(response, WireJson.Default.AssignmentInfo, cancel), default);
    }

    /// <summary>Fills <paramref name="target"/> with a file of the server's from <paramref name="from"/> on and returns how far it came; <paramref name="moved"/> is told on the way.</summary>
    public async Task Download(string path, Memory<byte> target, int from, Action<int> moved, CancellationToken cancel)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, path);
        if (from > 0)
            request.Headers.Range = new RangeHeaderValue(from, null);
        using HttpResponseMessage response = await Send(request, cancel);
        if (from > 0 && (response.StatusCode != HttpStatusCode.PartialContent || response.Content.Headers.ContentRange?.From != from))
            throw FormatError.At(path, $"a part was asked for from byte {from} on, and something else came");
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancel);
        while (from < target.Length)
        {
            int count = await stream.ReadAsync(target[from..], cancel);
            if (count == 0)
                throw new IOException($"{path}: ended after {from} of {target.Length} bytes");
            moved(from += count);
        }
    }

    /// <summary>How much of an update the server has.</summary>
    public async Task<long> Uploaded(long assignment, CancellationToken cancel)
    {
        using HttpResponseMessage response = await Send(HttpMethod.Get, PathOf(assignment, "update"), null, cancel);
        return (await Read(response, WireJson.Default.UploadInfo, cancel)).Bytes;
    }

    /// <summary>Sends a chunk of an update and returns how much of it the server has then.</summary>
    public async Task<long> Upload(long assignment, long offset, ReadOnlyMemory<byte> chunk, CancellationToken cancel)
    {
        using HttpRequestMessage request = new(HttpMethod.Patch, PathOf(assignment, "update")) { Content = new ReadOnlyMemoryContent(chunk) };
        request.Headers.Add(Wire.OffsetHeader, offset.ToString(CultureInfo.InvariantCulture));
        using HttpResponseMessage response = await Send(request, cancel);
        return OffsetOf(response) ?? throw FormatError.At("server", $"answered a chunk without {Wire.OffsetHeader}");
    }

    /// <summary>Says that an update is all there.</summary>
    public async Task Commit(long assignment, CommitRequest commit, CancellationToken cancel) =>
        (await Send(HttpMethod.Post, PathOf(assignment, "commit"), JsonContent.Create(commit, WireJson.Default.CommitRequest), cancel)).Dispose();

    /// <summary>Says that there will be no update, and why.</summary>
    public async Task Fail(long assignment, FailureReport failure, CancellationToken cancel) =>
        (await Send(HttpMethod.Post, PathOf(assignment, "failure"), JsonContent.Create(failure, WireJson.Default.FailureReport), cancel)).Dispose();

    /// <summary>The path of something of an assignment.</summary>
    public static string PathOf(long assignment, string part) => string.Create(CultureInfo.InvariantCulture, $"v1/assignments/{assignment}/{part}");

    public void Dispose() => http.Dispose();

    async Task<HttpResponseMessage> Send(HttpMethod method, string path, HttpContent? content, CancellationToken cancel)
    {
        using HttpRequestMessage request = new(method, path) { Content = content };
        return await Send(request, cancel);
    }

    async Task<HttpResponseMessage> Send(HttpRequestMessage request, CancellationToken cancel)
    {
        (request.Version, request.VersionPolicy) = (HttpVersion.Version20, HttpVersionPolicy.RequestVersionExact);
        HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw new RemoteException((int)response.StatusCode, await Reason(response, cancel), OffsetOf(response), response.Headers.RetryAfter?.Delta);
    }

    static async Task<string> Reason(HttpResponseMessage response, CancellationToken cancel)
    {
        string name = $"server: {(int)response.StatusCode}";
        if (response.Content.Headers.ContentType?.MediaType != "application/json")
            return name;
        return FormatError.At(name, (await Read(response, WireJson.Default.ErrorInfo, cancel)).Error).Message;
    }

    static async Task<T> Read<T>(HttpResponseMessage response, JsonTypeInfo<T> type, CancellationToken cancel)
    {
        // What is not trusted to be short is read up to a limit.
        byte[] json = new byte[LongestJson];
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancel);
        int length = await stream.ReadAtLeastAsync(json, json.Length, throwOnEndOfStream: false, cancel);
        return length < json.Length
            ? Message.Parse("server", json.AsSpan(0, length), type)
            : throw FormatError.At("server", $"answered with {length:N0} bytes of JSON or more");
    }

    static long? OffsetOf(HttpResponseMessage response) =>
        response.Headers.TryGetValues(Wire.OffsetHeader, out IEnumerable<string>? values) && long.TryParse(values.First(), NumberStyles.None, CultureInfo.InvariantCulture, out long offset) ? offset : null;
}
