using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Coppice.Federation.Remote;
using Coppice.Server.Rounds;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;

namespace Coppice.Server.Http;

/// <summary>The protocol's paths, for clients that were admitted. docs/federation-protocol.md says what each takes and gives.</summary>
sealed class Endpoints(IAssignments assignments, ServeOptions options)
{
    const int LargestJson = 4096, MostChecks = 4, PieceBytes = 256 << 10;

    readonly SemaphoreSlim uploads = new(options.Uploads);
    // What computes gains nothing by being many, and each takes memory.
    readonly SemaphoreSlim checks = new(Math.Min(Environment.ProcessorCount, MostChecks));
    readonly ConcurrentDictionary<string, bool> sending = new(StringComparer.Ordinal);
    readonly OfferedFile[] tokenizer = [.. options.Tokenizer.Select(file => new OfferedFile(file.Name, file.Bytes.Length, Hash(file.Bytes)))];

    /// <summary>Whether no new work is given out any more.</summary>
    public bool Draining { get; set; }

    /// <summary>Uploads and commits that are under way.</summary>
    public int Uploading => options.Uploads - uploads.CurrentCount;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/run", (RequestDelegate)Run);
        routes.MapGet("/v1/tokenizer/{name}", (RequestDelegate)Tokenizer);
        routes.MapPost("/v1/assignments", (RequestDelegate)Assign);
        routes.MapGet("/v1/assignments/{id:long}/task", (RequestDelegate)Task);
        routes.MapGet("/v1/assignments/{id:long}/update", context => Write(context, new UploadInfo(assignments.Uploaded(ClientOf(context), IdOf(context))), WireJson.Default.UploadInfo));
        routes.MapPatch("/v1/assignments/{id:long}/update", context => Limited(context, Append));
        routes.MapPost("/v1/assignments/{id:long}/commit", context => Limited(context, Commit));
        routes.MapPost("/v1/assignments/{id:long}/failure", context => Limited(context, Fail));
        routes.MapFallback((RequestDelegate)(context => throw new RefusedException(RefusedException.NotFound, "there is no such path")));
    }

    Task Run(HttpContext context) => Write(context, assignments.Describe(tokenizer), WireJson.Default.RunInfo);

    async Task Tokenizer(HttpContext context)
    {
        string? name = context.GetRouteValue("name") as string;
        int at = Array.FindIndex(tokenizer, file => file.Name == name);
        if (at < 0)
            throw new RefusedException(RefusedException.NotFound, "the tokenizer has no such file");
        byte[] bytes = options.Tokenizer[at].Bytes;
        int from = (int)Begin(context, bytes.Length);
        await context.Response.Body.WriteAsync(bytes.AsMemory(from), context.RequestAborted);
    }

    Task Assign(HttpContext context)
    {
        if (Draining)
            throw new RefusedException(RefusedException.Unavailable, "the server is stopping", retryAfter: 5);
        string client = ClientOf(context);
        try
        {
            if (assignments.Take(client) is { } offer)
                return Write(context, offer, WireJson.Default.AssignmentInfo);
        }
        catch (RefusedException over) when (over.Status == RefusedException.Gone)
        {
            // Either the run is over, or only the round, just now.
            if (assignments.IsOver)
            {
                assignments.Tell(client);
                throw;
            }
        }
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        context.Response.Headers.RetryAfter = options.PollSeconds.ToString(CultureInfo.InvariantCulture);
        return System.Threading.Tasks.Task.CompletedTask;
    }

    async Task Task(HttpContext context)
    {
        TaskContent task = assignments.Task(ClientOf(context), IdOf(context));
        long from = Begin(context, task.Length);
        assignments.Sent(IdOf(context), await task.Write(context.Response.Body, from, context.RequestAborted));
    }

    async Task Append(HttpContext context)
    {
        if (!long.TryParse(context.Request.Headers[Wire.OffsetHeader], NumberStyles.None, CultureInfo.InvariantCulture, out long offset))
            throw new RefusedException(StatusCodes.Status400BadRequest, $"a chunk without {Wire.OffsetHeader}");
        (string client, long id) = (ClientOf(context), IdOf(context));
        // Who has no business here sends nothing.
        assignments.Uploaded(client, id);
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = Wire.ChunkBytes;
        byte[] piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
        try
        {
            // What has come stays, also where the rest does not.
            int length;
            do
            {
                length = await Fill(context, piece.AsMemory(0, PieceBytes));
                offset = assignments.Append(client, id, offset, piece.AsSpan(0, length));
            }
            while (length == PieceBytes);
            context.Response.Headers[Wire.OffsetHeader] = offset.ToString(CultureInfo.InvariantCulture);
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    async Task Commit(HttpContext context)
    {
        CommitRequest commit = await Read(context, "commit", WireJson.Default.CommitRequest);
        (string client, long id) = (ClientOf(context), IdOf(context));
        await checks.WaitAsync(context.RequestAborted);
        try
        {
            await System.Threading.Tasks.Task.Run(() => assignments.Commit(client, id, commit.Bytes, commit.Sha256), context.RequestAborted);
        }
        finally
        {
            checks.Release();
        }
        await Write(context, new UploadInfo(commit.Bytes), WireJson.Default.UploadInfo);
    }

    async Task Fail(HttpContext context)
    {
        FailureReport failure = await Read(context, "failure", WireJson.Default.FailureReport);
        if (!Wire.IsReason(failure.Reason))
            throw new RefusedException(StatusCodes.Status400BadRequest, $"a reason of {failure.Reason.Length} characters, wanted one line of 1 to {Wire.ReasonLength}");
        assignments.Fail(ClientOf(context), IdOf(context), failure.Reason);
        await Write(context, failure, WireJson.Default.FailureReport);
    }

    static async Task<T> Read<T>(HttpContext context, string what, JsonTypeInfo<T> type)
    {
        byte[] json = new byte[LargestJson];
        int length = await Body(context, json);
        try
        {
            return JsonSerializer.Deserialize(json.AsSpan(0, length), type) ?? throw new JsonException("null");
        }
        catch (JsonException error)
        {
            throw new RefusedException(StatusCodes.Status400BadRequest, $"the {what} is not what is wanted: {error.Message}");
        }
    }

    // One at a time for each client, so that nobody takes up all places by sending slowly.
    async Task Limited(HttpContext context, Func<HttpContext, Task> work)
    {
        string client = ClientOf(context);
        if (!sending.TryAdd(client, true))
            throw new RefusedException(RefusedException.TooMany, $"client '{client}': another upload is under way", retryAfter: 1);
        try
        {
            if (!await uploads.WaitAsync(0))
                throw new RefusedException(RefusedException.TooMany, $"{options.Uploads} uploads are under way", retryAfter: 1);
            try
            {
                await work(context);
            }
            finally
            {
                uploads.Release();
            }
        }
        finally
        {
            sending.TryRemove(client, out _);
        }
    }

    // What fits the buffer; a body that is longer is refused unread or at its limit.
    static async Task<int> Body(HttpContext context, Memory<byte> buffer)
    {
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = buffer.Length;
        int length = await Fill(context, buffer);
        if (length == buffer.Length && await context.Request.Body.ReadAsync(new byte[1], context.RequestAborted) > 0)
            throw new RefusedException(RefusedException.TooLarge, $"a body of more than {buffer.Length} bytes");
        return length;
    }

    static async Task<int> Fill(HttpContext context, Memory<byte> buffer)
    {
        int length = 0;
        while (length < buffer.Length && await context.Request.Body.ReadAsync(buffer[length..], context.RequestAborted) is var count and > 0)
            length += count;
        return length;
    }

    // Begins an answer of bytes, all of them or those from where the request wants them, and says from where.
    static long Begin(HttpContext context, long length)
    {
        RangeHeaderValue? range = context.Request.GetTypedHeaders().Range;
        long from = range is { Unit.Value: "bytes", Ranges.Count: 1 } && range.Ranges.First() is { From: { } first, To: null } ? first : 0;
        if (from > 0 && from >= length)
            throw new RefusedException(StatusCodes.Status416RangeNotSatisfiable, $"a part from byte {from} of {length}");
        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = length - from;
        context.Response.Headers.AcceptRanges = "bytes";
        if (from > 0)
        {
            context.Response.StatusCode = StatusCodes.Status206PartialContent;
            context.Response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {from}-{length - 1}/{length}");
        }
        return from;
    }

    static string ClientOf(HttpContext context) => (string)context.Items[typeof(Admission)]!;

    static long IdOf(HttpContext context) => long.Parse((string)context.GetRouteValue("id")!, CultureInfo.InvariantCulture);

    static Task Write<T>(HttpContext context, T value, JsonTypeInfo<T> type) => context.Response.WriteAsJsonAsync(value, type, contentType: "application/json", context.RequestAborted);

    static string Hash(byte[] bytes) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes));
}
