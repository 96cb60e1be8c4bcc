#:project Grove/Grove.csproj
#:project ../src/Coppice.Server/Coppice.Server.csproj
#:property PublishAot=false
// What it costs a coordinator to take updates of the default model and to make the next model of them, without a network and over loopback: bench/results/amd-zen3-2c/federation.md. Takes two minutes at most.
//   dotnet run -c Release bench/federation-throughput.cs [-- CODEC ...] > bench/results/amd-zen3-2c/federation.md
using System.Globalization;
using System.Security.Cryptography;
using Coppice.Bench;
using Coppice.Evaluation;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Remote;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Server.Certificates;
using Coppice.Server.Http;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Text;
using static Coppice.Bench.Grove;

const int Clients = 16, Senders = 4, PieceBytes = 256 << 10, Goes = 5, Counted = 3;

LanguageModel language = Read();
DecoderModel start = (DecoderModel)language.Model;
ParameterSet model = ParameterSet.Copy(start);
string[] names = [.. Enumerable.Range(0, Clients).Select(i => string.Create(CultureInfo.InvariantCulture, $"client-{i:00}"))];

Title("What a coordinator takes in", "federation-throughput.cs");
Print($"Base: `{language.Source}`, {start.ParameterCount:N0} numbers. One round of {Clients} clients that have trained already: their updates are uploaded, checked number by number, hashed and committed (SQLite, each on the disk before it counts), *taken*; then the next model is made of them, *folded*. *In the process*: {Senders} threads hand over pieces of {PieceBytes >> 10} KB, as the server does with what comes from its network. *Over loopback*: {Senders} clients at a time in this same process over HTTP/2 with TLS 1.3, chunks of {Wire.ChunkBytes >> 20} MB, so that both sides and TLS are in it. Others used the machine too, so *seconds are those of a processor*, the system's part included, which others hardly change; medians of the last {Counted} of {Goes} goes, as a server runs for long and its code is compiled well only after some. *Memory* is what all threads read from memory, the best of probes before and after; the last column is the bytes of updates a second, taken and folded, against it.\n");
Print($"| codec | bytes of an update | way | taken, updates/s | MB/s | folded, updates/s | MB/s | both, updates/s | MB/s | memory, GB/s | share of it |");
Print($"| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
foreach (ICodec codec in (args.Length > 0 ? args : ["int8", "identity"]).Select(CodecRegistry.Find))
    foreach (bool overNetwork in (bool[])[false, true])
        await Row(codec, overNetwork);

async Task Row(ICodec codec, bool overNetwork)
{
    double memory = Math.Max(Bandwidth(), Bandwidth());
    List<(double Taken, double Folded, long Bytes)> goes = [];
    for (int go = 0; go < Goes; go++)
        goes.Add(await Go(codec, overNetwork));
    memory = Math.Max(memory, Bandwidth());
    double take = Median(go => go.Taken), fold = Median(go => go.Folded);
    long bytes = goes[^1].Bytes;
    double both = take + fold, all = Clients * bytes;
    Print($"| `{codec.Name}` | {bytes:N0} | {(overNetwork ? "over loopback" : "in the process")} | {Clients / take:F1} | {all / take / 1e6:F0} | {Clients / fold:F1} | {all / fold / 1e6:F0} | {Clients / both:F1} | {all / both / 1e6:F0} | {memory / 1e9:F1} | {100 * all / both / memory:F2}% |");

    double Median(Func<(double Taken, double Folded, long Bytes), double> part) => goes.TakeLast(Counted).Select(part).Order().ElementAt(Counted / 2);
}

async Task<(double Taken, double Folded, long Bytes)> Go(ICodec codec, bool overNetwork)
{
    string folder = Directory.CreateTempSubdirectory("throughput-").FullName;
    try
    {
        TimeProvider time = TimeProvider.System;
        using Authority authority = Authority.Create(folder, time.GetUtcNow());
        authority.IssueServer(["localhost"], time.GetUtcNow());
        using SqliteRunStore store = new(Path.Combine(folder, SqliteRunStore.FileName));
        foreach (string name in names)
            store.Enrol(name, authority.IssueClient(name, time.GetUtcNow()).Thumbprint, time.GetUtcNow());
        await using ChannelQueue queue = new(time);
        RunSettings settings = new(new FederatedOptions { Rounds = 1, Codec = codec });
        Coordinator coordinator = new(store, new BlobStore(Path.Combine(folder, "blobs")), new UploadStore(Path.Combine(folder, "uploads")), queue, settings, start.Config, model, time);
        // In files: a server's heap holds no updates either, and is collected after each.
        string[] hashes = [.. names.Select(name =>
        {
            byte[] update = Update(coordinator.Run.Signature, codec, name);
            File.WriteAllBytes(FileOf(folder, name), update);
            return Convert.ToHexStringLower(SHA256.HashData(update));
        })];
        long bytes = new FileInfo(FileOf(folder, names[0])).Length;
        GC.Collect();
        (double taken, double folded) = overNetwork
            ? await Send(coordinator, queue, store, authority, folder, bytes, hashes)
            : HandOver(coordinator, folder, bytes, hashes);
        return (taken, folded, bytes);
    }
    finally
    {
        Directory.Delete(folder, recursive: true);
    }
}

// What a client sends: the model and a little noise by its name, so that no two are the same bytes.
byte[] Update(string run, ICodec codec, string client)
{
    int own = Array.IndexOf(names, client);
    ParameterSet after = model.Map((_, tensor) => Tensor.From(tensor.Shape, [.. tensor.Data.ToArray().Select((value, i) => value + 1e-5f * ((i + own) % 101 - 50))]));
    byte[] tensors = SafeTensorsWriter.ToBytes(codec.Encode(model, after, null, new Random(own)));
    return Message.Write(new ClientUpdate(ClientUpdate.CurrentFormat, run, 1, client, codec.Name, 100, 2, 1.9), FederationJson.Default.ClientUpdate, tensors);
}

string FileOf(string folder, string name) => Path.Combine(folder, name + ".update");

(double Taken, double Folded) HandOver(Coordinator coordinator, string folder, long bytes, string[] hashes)
{
    double begun = Seconds();
    Parallel.For(0, Clients, new ParallelOptions { MaxDegreeOfParallelism = Senders }, i =>
    {
        long id = coordinator.Take(names[i])!.Id;
        using FileStream update = File.OpenRead(FileOf(folder, names[i]));
        byte[] piece = new byte[PieceBytes];
        for (long at = 0; at < bytes;)
            at = coordinator.Append(names[i], id, at, piece.AsSpan(0, update.ReadAtLeast(piece, piece.Length, throwOnEndOfStream: false)));
        coordinator.Commit(names[i], id, bytes, hashes[i]);
    });
    double taken = Seconds() - begun;
    coordinator.Advance(coordinator.Current.Id, default);
    Check(coordinator.Run);
    return (taken, Seconds() - begun - taken);
}

async Task<(double Taken, double Folded)> Send(Coordinator coordinator, ChannelQueue queue, SqliteRunStore store, Authority authority, string folder, long bytes, string[] hashes)
{
    await using FederationServer server = await FederationServer.Start(coordinator, queue, store, authority, new ServeOptions(), TimeProvider.System);
    Uri address = new(string.Create(CultureInfo.InvariantCulture, $"https://localhost:{server.Port}/"));
    double begun = Seconds();
    await Parallel.ForAsync(0, Clients, new ParallelOptions { MaxDegreeOfParallelism = Senders }, async (i, cancel) =>
    {
        using ClientIdentity identity = ClientIdentity.Load(Path.Combine(folder, "clients", names[i] + ".pem"), TimeProvider.System);
        using Connection connection = new(address, identity);
        long id = (await connection.Assignment(cancel)).Assignment!.Id;
        await using FileStream update = File.OpenRead(FileOf(folder, names[i]));
        byte[] chunk = new byte[Wire.ChunkBytes];
        for (long at = 0; at < bytes;)
            at = await connection.Upload(id, at, chunk.AsMemory(0, await update.ReadAtLeastAsync(chunk, chunk.Length, throwOnEndOfStream: false, cancel)), cancel);
        await connection.Commit(id, new CommitRequest(bytes, hashes[i]), cancel);
    });
    double taken = Seconds() - begun;
    Check(await server.Over);
    double all = Seconds() - begun;
    await server.Stop();
    return (taken, all - taken);
}

static void Check(RunRow run)
{
    if (run.State != RunState.Done)
        throw new InvalidOperationException($"the run is {run.State}: {run.Reason}");
}

static double Seconds() => Environment.CpuUsage.TotalTime.TotalSeconds;

// Not kept: what a server holds is small, and so is each of its collections.
static double Bandwidth()
{
    using WorkerPool pool = new(Environment.ProcessorCount);
    return new MachineProbe(pool).ReadBytesPerSecond();
}
