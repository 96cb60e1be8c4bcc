using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Server.Certificates;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Http;

/// <summary>What does not belong is refused in one line and noted, and costs nobody else anything.</summary>
public sealed class RefusalTests : IAsyncLifetime
{
    Served served = null!;

    public async Task InitializeAsync() => served = await Served.Start(new RunSettings(Tiny.Options with { Codec = new Float16Codec(), Rounds = 1 }), new ServeOptions { Uploads = 1 });

    public async Task DisposeAsync() => await served.DisposeAsync();

    static HttpRequestMessage Chunk(long id, long? offset, byte[] bytes)
    {
        HttpRequestMessage request = new(HttpMethod.Patch, $"v1/assignments/{id}/update") { Content = new ByteArrayContent(bytes), Version = HttpVersion.Version20 };
        if (offset is { } at)
            request.Headers.Add("Upload-Offset", at.ToString(System.Globalization.CultureInfo.InvariantCulture));
        return request;
    }

    static Task<HttpResponseMessage> Commit(HttpClient http, long id, byte[] update) =>
        http.PostAsJsonAsync($"v1/assignments/{id}/commit", new { bytes = update.Length, sha256 = Convert.ToHexStringLower(SHA256.HashData(update)) });

    static async Task<long> Assignment(HttpClient http) => (await (await http.PostAsync("v1/assignments", null)).Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetInt64();

    static async Task<byte[]> Answer(HttpClient http, long id, int client)
    {
        using WorkerPool pool = new(1);
        return new Client(Tiny.Name(client), Tiny.Text(client), pool).Answer(await http.GetByteArrayAsync($"v1/assignments/{id}/task")).ToArray();
    }

    void Noted(string kind, string text) => Assert.Contains(served.Store.Events(100), entry => entry.Kind == kind && entry.Text.Contains(text, StringComparison.Ordinal));

    [Fact]
    public async Task Without_a_certificate_nothing_is_told()
    {
        using HttpClient nobody = served.Raw(certificate: null);
        foreach (string path in new[] { "v1/run", "v1/nothing", "health/ready" })
            Assert.Contains("without a certificate", await Served.Refused(401, await nobody.GetAsync(path)), StringComparison.Ordinal);
        Noted("access", "without a certificate");
    }

    [Fact]
    public async Task Certificates_of_strangers_expired_replaced_or_revoked_are_refused()
    {
        using TemporaryFolder elsewhere = new();
        using Authority other = Authority.Create(elsewhere.Path, TimeProvider.System.GetUtcNow());
        other.IssueClient("client-0", TimeProvider.System.GetUtcNow());
        using (HttpClient forged = served.Raw(Coppice.Federation.Remote.ClientIdentity.Load(elsewhere["clients/client-0.pem"], TimeProvider.System).Certificate))
            await Served.Refused(401, await forged.GetAsync("v1/run"));
        Noted("access", "client 'client-0': its certificate was not issued to a client by this run's authority");

        served.Enrol("old", TimeSpan.FromDays(1), TimeProvider.System.GetUtcNow().AddDays(-3));
        using (System.Security.Cryptography.X509Certificates.X509Certificate2 expired = System.Security.Cryptography.X509Certificates.X509Certificate2.CreateFromPemFile(served["clients/old.pem"]))
        using (HttpClient old = served.Raw(expired))
            await Served.Refused(401, await old.GetAsync("v1/run"));
        Noted("access", "client 'old': its certificate is valid from");

        served.Authority.IssueClient("unknown", TimeProvider.System.GetUtcNow());
        using (HttpClient unknown = served.Raw("unknown"))
            await Served.Refused(403, await unknown.GetAsync("v1/run"));
        Noted("access", "client 'unknown': was not enrolled");

        using HttpClient replaced = served.Raw("client-1");
        Assert.True((await replaced.GetAsync("v1/run")).IsSuccessStatusCode);
        served.Enrol("client-1");
        Assert.Contains("was replaced", await Served.Refused(403, await replaced.GetAsync("v1/run")), StringComparison.Ordinal);

        using HttpClient revoked = served.Raw("client-2");
        Assert.True((await revoked.GetAsync("v1/run")).IsSuccessStatusCode);
        served.Store.Revoke("client-2", TimeProvider.System.GetUtcNow());
        Assert.Contains("was revoked", await Served.Refused(403, await revoked.GetAsync("v1/run")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_client_s_assignment_and_one_that_is_not_there_are_refused()
    {
        using HttpClient zero = served.Raw("client-0"), one = served.Raw("client-1");
        long id = await Assignment(zero);
        await Served.Refused(403, await one.GetAsync($"v1/assignments/{id}/task"));
        await Served.Refused(403, await one.GetAsync($"v1/assignments/{id}/update"));
        await Served.Refused(403, await one.SendAsync(Chunk(id, 0, [1])));
        await Served.Refused(403, await Commit(one, id, [1]));
        Noted("refused", "is not that of client 'client-1'");
        await Served.Refused(404, await one.GetAsync("v1/assignments/999/task"));
        await Served.Refused(404, await one.GetAsync("v1/assignments/x/task"));
        await Served.Refused(404, await one.GetAsync("v2/run"));
        Assert.Equal(0, served.Coordinator.Uploaded("client-0", id));
    }

    [Fact]
    public async Task Wrong_offsets_and_bodies_that_are_too_large_are_refused_and_nothing_is_lost()
    {
        using HttpClient http = served.Raw("client-0");
        long id = await Assignment(http);
        byte[] update = await Answer(http, id, 0);
        Assert.True((await http.SendAsync(Chunk(id, 0, update[..500]))).IsSuccessStatusCode);
        await Served.Refused(400, await http.SendAsync(Chunk(id, null, [1])));
        using (HttpResponseMessage wrong = await http.SendAsync(Chunk(id, 700, update[700..])))
        {
            await Served.Refused(409, wrong);
            Assert.Equal("500", Assert.Single(wrong.Headers.GetValues("Upload-Offset")));
        }
        await Served.Refused(413, await http.SendAsync(Chunk(id, 500, new byte[(4 << 20) + 1])));
        await Served.Refused(400, await http.PostAsync($"v1/assignments/{id}/commit", new StringContent("{")));
        await Served.Refused(413, await http.PostAsync($"v1/assignments/{id}/commit", new StringContent(new string(' ', 5000))));
        Assert.Equal(500, (await http.GetFromJsonAsync<JsonElement>($"v1/assignments/{id}/update")).GetProperty("bytes").GetInt64());
        Assert.True((await http.SendAsync(Chunk(id, 500, update[500..]))).IsSuccessStatusCode);
        Assert.True((await Commit(http, id, update)).IsSuccessStatusCode);
        Assert.True((await Commit(http, id, update)).IsSuccessStatusCode);
        await Served.Refused(409, await Commit(http, id, [1, 2]));
        Assert.Equal(AssignmentState.Received, served.Store.FindAssignment(id)!.State);
    }

    [Fact]
    public async Task A_failure_without_one_line_that_says_why_or_of_another_client_is_refused()
    {
        using HttpClient http = served.Raw("client-0"), other = served.Raw("client-1");
        long id = await Assignment(http);
        foreach (string wrong in (string[])["", "one\ntwo", new string('x', 501)])
            Assert.Contains("wanted one line of 1 to 500", await Served.Refused(400, await Fail(http, wrong)), StringComparison.Ordinal);
        await Served.Refused(413, await Fail(http, new string('x', 5000)));
        await Served.Refused(400, await http.PostAsync($"v1/assignments/{id}/failure", new StringContent("{}")));
        await Served.Refused(403, await Fail(other, "not mine"));
        Assert.Equal(AssignmentState.Waiting, served.Store.FindAssignment(id)!.State);
        Assert.True((await Fail(http, "out of memory")).IsSuccessStatusCode);
        Assert.True((await Fail(http, "out of memory")).IsSuccessStatusCode);
        Assert.Equal(AssignmentState.Failed, served.Store.FindAssignment(id)!.State);
        Noted("failed", "update of client 'client-0' in round 1: the client failed: out of memory");

        Task<HttpResponseMessage> Fail(HttpClient from, string reason) => from.PostAsJsonAsync($"v1/assignments/{id}/failure", new { reason });
    }

    [Theory]
    [InlineData("nan", "not finite")]
    [InlineData("damaged", "bytes")]
    [InlineData("replayed", "client is 'client-1', wanted 'client-0'")]
    public async Task An_update_that_is_not_what_was_asked_for_is_refused_with_the_reason(string attack, string reason)
    {
        using HttpClient http = served.Raw("client-0"), other = served.Raw("client-1");
        long id = await Assignment(http), foreign = await Assignment(other);
        byte[] honest = await Answer(http, id, 0), update = attack switch
        {
            "nan" => NotFinite(honest),
            "damaged" => honest[..^7],
            _ => await Answer(other, foreign, 1),
        };
        Assert.True((await http.SendAsync(Chunk(id, 0, update))).IsSuccessStatusCode);
        string line = await Served.Refused(422, await Commit(http, id, update));
        Assert.Contains("update of client 'client-0' in round 1", line, StringComparison.Ordinal);
        Assert.Contains(reason, line, StringComparison.Ordinal);
        Assert.Equal(line, await Served.Refused(422, await Commit(http, id, honest)));
        Assert.Equal(line, await Served.Refused(422, await http.SendAsync(Chunk(id, 0, honest))));
        Noted("refused", line);
        Assert.Equal(HttpStatusCode.NoContent, (await http.PostAsync("v1/assignments", null)).StatusCode);

        foreach ((HttpClient client, int i) in new[] { (other, 1), (served.Raw("client-2"), 2) })
        {
            long next = await Assignment(client);
            byte[] own = await Answer(client, next, i);
            await client.SendAsync(Chunk(next, 0, own));
            Assert.True((await Commit(client, next, own)).IsSuccessStatusCode);
        }
        Assert.Equal(RunState.Done, (await served.Server.Over.WaitAsync(TimeSpan.FromSeconds(20))).State);
        Assert.Equal(["client-1", "client-2"], served.Store.Survivors(served.Coordinator.Current.Id).Select(part => part.Client));
        Assert.Contains("the run is done", await Served.Refused(410, await http.PostAsync("v1/assignments", null)), StringComparison.Ordinal);
        await Served.Refused(422, await Commit(http, id, honest));
    }

    static byte[] NotFinite(byte[] honest)
    {
        JsonObject control = WireFormat.Control(honest, out ReadOnlyMemory<byte> tensors);
        using SafeTensors file = SafeTensors.Read("honest", tensors);
        return WireFormat.Message(control.ToJsonString(), SafeTensorsWriter.ToBytes(file.Entries.Values.Select(entry =>
            TensorSource.Raw<byte>(entry.Name, entry.DType, entry.Shape, entry.Name == "model.norm.weight" ? [.. Enumerable.Repeat<byte>(0x7e, (int)entry.ByteCount)] : entry.ToBytes()))));
    }

    [Fact]
    public async Task A_task_can_be_fetched_in_parts()
    {
        using HttpClient http = served.Raw("client-0");
        long id = await Assignment(http);
        byte[] whole = await http.GetByteArrayAsync($"v1/assignments/{id}/task");
        foreach (int from in new[] { 1, 7, 900, whole.Length - 1 })
        {
            using HttpRequestMessage request = new(HttpMethod.Get, $"v1/assignments/{id}/task") { Version = HttpVersion.Version20, Headers = { Range = new(from, null) } };
            using HttpResponseMessage response = await http.SendAsync(request);
            Assert.Equal(HttpStatusCode.PartialContent, response.StatusCode);
            Assert.Equal(whole[from..], await response.Content.ReadAsByteArrayAsync());
        }
        using HttpRequestMessage beyond = new(HttpMethod.Get, $"v1/assignments/{id}/task") { Version = HttpVersion.Version20, Headers = { Range = new(whole.Length, null) } };
        await Served.Refused(416, await http.SendAsync(beyond));
    }

    [Fact]
    public async Task More_uploads_than_are_taken_at_a_time_are_asked_to_come_back()
    {
        using HttpClient http = served.Raw("client-0"), other = served.Raw("client-1");
        long id = await Assignment(http), second = await Assignment(other);
        TaskCompletionSource release = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<HttpResponseMessage> held = await Hold(http, id, release);
        HttpResponseMessage refused = await other.SendAsync(Chunk(second, 0, [1]));
        Assert.Contains("1 uploads are under way", await Served.Refused(429, refused), StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromSeconds(1), refused.Headers.RetryAfter!.Delta);
        Assert.Contains("another upload is under way", await Served.Refused(429, await http.SendAsync(Chunk(id, 0, [1]))), StringComparison.Ordinal);
        release.SetResult();
        Assert.True((await held).IsSuccessStatusCode);
    }

    [Fact]
    public async Task A_server_that_stops_finishes_what_is_under_way()
    {
        using HttpClient http = served.Raw("client-0");
        long id = await Assignment(http);
        TaskCompletionSource release = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<HttpResponseMessage> held = await Hold(http, id, release);
        Task stopped = served.Server.Stop();
        release.SetResult();
        Assert.True((await held).IsSuccessStatusCode);
        await stopped;
        Assert.Equal(200, served.Coordinator.Uploaded("client-0", id));
    }

    // An upload that the server has begun with, and that ends when the test says so.
    async Task<Task<HttpResponseMessage>> Hold(HttpClient http, long id, TaskCompletionSource release)
    {
        HttpRequestMessage slow = Chunk(id, 0, []);
        slow.Content = new HeldContent(release);
        Task<HttpResponseMessage> held = http.SendAsync(slow);
        while (served.Server.Uploading == 0)
        {
            Assert.False(held.IsCompleted, "it ended before it was begun with");
            await Task.Delay(2);
        }
        return held;
    }

    // A body of which the first half comes at once and the second when the test says so.
    sealed class HeldContent(TaskCompletionSource release) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(new byte[100]);
            await stream.FlushAsync();
            await release.Task;
            await stream.WriteAsync(new byte[100]);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 200;
            return true;
        }
    }
}
