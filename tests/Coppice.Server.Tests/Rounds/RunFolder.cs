using System.Security.Cryptography;
using Coppice.Federation;
using Coppice.Models;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tests.Federation;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Rounds;

/// <summary>A run in a folder of a test's own, driven without a network: a coordinator can be made anew over it at any time.</summary>
sealed class RunFolder : IDisposable
{
    readonly TemporaryFolder folder = new();

    public RunFolder(RunSettings settings, int clients = 3, IRunStore? store = null)
    {
        Settings = settings;
        Store = store ?? new SqliteRunStore(folder["federation.db"], Durability.Process);
        for (int i = 0; i < clients; i++)
            Store.Enrol(Tiny.Name(i), $"thumb{i}", Time.Now);
    }

    public RunSettings Settings { get; set; }

    public Clock Time { get; } = new();

    public IRunStore Store { get; }

    public string this[string name] => folder[name];

    public Coordinator Open(IRunStore? store = null, DecoderModel? model = null, IWorkQueue? queue = null, int place = 0)
    {
        model ??= Tiny.Model();
        return new Coordinator(store ?? Store, new BlobStore(folder["blobs"], Durability.Process), new UploadStore(folder["uploads"]), queue ?? new ChannelQueue(Time), Settings, model.Config, ParameterSet.Copy(model), Time, place);
    }

    /// <summary>The bytes of a task.</summary>
    public static byte[] Task(Coordinator coordinator, string client, long id)
    {
        using MemoryStream stream = new();
        coordinator.Task(client, id).Write(stream, 0, default).GetAwaiter().GetResult();
        return stream.ToArray();
    }

    /// <summary>Uploads in chunks, from where an earlier attempt stopped, and commits.</summary>
    public static void Send(Coordinator coordinator, string client, long id, ReadOnlySpan<byte> update, int chunk = 1500)
    {
        for (long at = coordinator.Uploaded(client, id); at < update.Length;)
            at = coordinator.Append(client, id, at, update.Slice((int)at, (int)Math.Min(chunk, update.Length - at)));
        coordinator.Commit(client, id, update.Length, Hash(update));
    }

    public static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>Lets every client answer what it is asked, in order, and time pass where nobody is asked, until the run is over.</summary>
    public RunRow Drive(Coordinator coordinator, IEnumerable<(string Client, Func<byte[], ReadOnlyMemory<byte>> Answer)> clients)
    {
        while (coordinator.Run.State == RunState.Running)
        {
            bool asked = false;
            foreach ((string client, Func<byte[], ReadOnlyMemory<byte>> answer) in clients)
                if (coordinator.Run.State == RunState.Running && coordinator.Take(client) is { } offer)
                {
                    asked = true;
                    Send(coordinator, client, offer.Id, answer(Task(coordinator, client, offer.Id)).Span);
                }
            if (!coordinator.Advance(coordinator.Current.Id, default) && !asked)
                Time.Now += Settings.Deadline;
        }
        return coordinator.Run;
    }

    public static float[] Numbers(Coordinator coordinator)
    {
        DecoderModel model = Tiny.Model();
        coordinator.Model().CopyTo(model);
        return Tiny.Numbers(model);
    }

    public void Dispose()
    {
        Store.Dispose();
        folder.Dispose();
    }
}
