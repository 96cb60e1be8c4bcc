using System.Globalization;
using System.Security.Cryptography;
using Coppice.Federation.Secure;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Remote;

/// <summary>A client of a run over a network: it asks for work, lets a channel to a client here answer, and sends what that answers, or why it has no answer, until the run is over. Whatever breaks off goes on where it stopped.</summary>
public sealed class RemoteClient : IDisposable
{
    const int LargestTokenizerFile = 256 << 20;

    // How often the server may say that it has another part of an update than was thought.
    const int MostTurns = 10;

    readonly Connection connection;
    readonly ClientIdentity identity;
    readonly RemoteOptions options;
    readonly TimeProvider time;
    readonly IProgress<string>? progress;
    readonly Backoff backoff;

    /// <summary>A client of the server at an <c>https</c> address.</summary>
    /// <exception cref="CoppiceException">The address is another one.</exception>
    public RemoteClient(Uri server, ClientIdentity identity, RemoteOptions? options = null, TimeProvider? time = null, IProgress<string>? progress = null)
    {
        if (server.Scheme != Uri.UriSchemeHttps)
            throw new CoppiceException($"{server}: wanted an address that begins with https://");
        (this.identity, this.options, this.time, this.progress) = (identity, options ?? new RemoteOptions(), time ?? TimeProvider.System, progress);
        connection = new Connection(server, identity);
        backoff = new Backoff(this.options, Seeds.Generator(0, "wait", 0, identity.Name), this.time);
    }

    /// <summary>Why the last task that could not be done was not; null while there was none.</summary>
    public string? Failure { get; private set; }

    /// <summary>Brings the run's tokenizer into a folder, where it is not there already.</summary>
    /// <exception cref="CoppiceException">The server refuses, is out of reach, or offers what is no tokenizer's file.</exception>
    public async Task FetchTokenizer(string folder, CancellationToken cancel = default)
    {
        RunInfo run = await Ask(() => connection.Run(cancel), cancel);
        Directory.CreateDirectory(folder);
        foreach (OfferedFile file in run.Tokenizer)
        {
            // Names come from the server and become paths.
            if (file.Name.Length is 0 or > 100 || file.Name[0] == '.' || !file.Name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-') || file.Bytes is < 0 or > LargestTokenizerFile)
                throw FormatError.At("server", $"offers '{file.Name}' of {file.Bytes:N0} bytes as a tokenizer's file");
            string path = Path.Combine(folder, file.Name);
            if (File.Exists(path) && HashOf(File.ReadAllBytes(path)) == file.Sha256)
                continue;
            byte[] bytes = await Download($"v1/tokenizer/{file.Name}", (int)file.Bytes, cancel);
            if (HashOf(bytes) != file.Sha256)
                throw FormatError.At("server", $"sent other bytes of '{file.Name}' than it offered");
            AtomicFile.Write(path, stream => stream.Write(bytes));
        }
    }

    /// <summary>Takes part until the run is over, and returns how many updates were committed.</summary>
    /// <exception cref="CoppiceException">The server refuses the client, or was out of reach for too long.</exception>
    public Task<int> Run(Client client, CancellationToken cancel = default) => Run(new LocalChannel(client), cancel);

    /// <summary>The same with whatever answers for the client. What it cannot do is said to the server, which then waits for it no longer, and the client goes on with the next task.</summary>
    /// <exception cref="CoppiceException">The server refuses the client, or was out of reach for too long.</exception>
    public async Task<int> Run(IClientChannel client, CancellationToken cancel = default)
    {
        if (client.Client != identity.Name)
            throw new CoppiceException($"client '{client.Client}': its certificate is that of '{identity.Name}'");
        int committed = 0;
        while (true)
        {
            try
            {
                (AssignmentInfo? assignment, TimeSpan retryAfter) = await Ask(() => connection.Assignment(cancel), cancel);
                if (assignment is null)
                    await Task.Delay(backoff.Jitter(TimeSpan.FromMilliseconds(Math.Max(20, retryAfter.TotalMilliseconds))), time, cancel);
                else if (await Answer(client, assignment, cancel))
                    committed++;
            }
            catch (RemoteException over) when (over.Status == 410)
            {
                Say(over.Message);
                return committed;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => connection.Dispose();

    async Task<bool> Answer(IClientChannel client, AssignmentInfo assignment, CancellationToken cancel)
    {
        if (assignment.TaskBytes is < 0 or > int.MaxValue)
            throw FormatError.At("server", $"a task of {assignment.TaskBytes:N0} bytes");
        try
        {
            byte[] task = await Download(Connection.PathOf(assignment.Id, "task"), (int)assignment.TaskBytes, cancel);
            if (Work(client, task, cancel) is not { } update)
            {
                Say($"round {assignment.Round}: failed: {Failure}");
                await Ask(() => connection.Fail(assignment.Id, new FailureReport(Failure!), cancel), cancel);
                return false;
            }
            await Send(assignment.Id, update, cancel);
            Say(string.Create(CultureInfo.InvariantCulture, $"{About(assignment, update)}{task.Length:N0} bytes down, {update.Length:N0} up"));
            return true;
        }
        catch (RemoteException refused) when (refused.Status is 410 or 422)
        {
            Say($"round {assignment.Round}: {refused.Message}");
            return false;
        }
    }

    static string About(AssignmentInfo assignment, ReadOnlyMemory<byte> update) => Message.FormatOf("update", update) switch
    {
        ClientUpdate.CurrentFormat when Message.Read("update", update, FederationJson.Default.ClientUpdate, out _) is var sent =>
            string.Create(CultureInfo.InvariantCulture, $"round {assignment.Round}: loss {sent.LossBefore:F3} -> {sent.LossAfter:F3}, "),
        // A round has several questions then.
        var format when format.StartsWith(SecureChannel.Prefix, StringComparison.Ordinal) => $"question {assignment.Round}: {format[SecureChannel.Prefix.Length..^2]}, ",
        _ => $"question {assignment.Round}: ",
    };

    // Null, and the reason, where the client cannot.
    ReadOnlyMemory<byte>? Work(IClientChannel client, byte[] task, CancellationToken cancel)
    {
        try
        {
            return client.Exchange(task, cancel);
        }
        catch (Exception failed) when (failed is CoppiceException or ClientStorageException)
        {
            Failure = Wire.ReasonOf(failed.Message);
            return null;
        }
    }

    async Task Send(long assignment, ReadOnlyMemory<byte> update, CancellationToken cancel)
    {
        CommitRequest commit = new(update.Length, HashOf(update.Span));
        long there = await Ask(() => connection.Uploaded(assignment, cancel), cancel);
        for (int turns = 0; ; turns++)
        {
            try
            {
                while (there < update.Length)
                {
                    ReadOnlyMemory<byte> chunk = update.Slice((int)there, (int)Math.Min(options.ChunkBytes, update.Length - there));
                    there = await Ask(() => connection.Upload(assignment, there, chunk, cancel), cancel);
                }
                await Ask(() => connection.Commit(assignment, commit, cancel), cancel);
                return;
            }
            catch (RemoteException other) when (other is { Status: 409, Offset: { } offset } && offset <= update.Length && turns < MostTurns)
            {
                // A chunk whose answer was lost is there, or a server that died has less of it.
                there = offset;
            }
        }
    }

    async Task<byte[]> Download(string path, int length, CancellationToken cancel)
    {
        byte[] bytes = new byte[length];
        int there = 0;
        await Ask(() => connection.Download(path, bytes, there, moved => there = moved, cancel), cancel);
        return bytes;
    }

    Task<T> Ask<T>(Func<Task<T>> request, CancellationToken cancel) =>
        backoff.Run(request, (reason, wait) => Say(string.Create(CultureInfo.InvariantCulture, $"{reason}; again in {wait.TotalSeconds:F1} s")), cancel);

    Task Ask(Func<Task> request, CancellationToken cancel) => Ask(async () =>
    {
        await request();
        return true;
    }, cancel);

    void Say(string line) => progress?.Report(line);

    static string HashOf(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
