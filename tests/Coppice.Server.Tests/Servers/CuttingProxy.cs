using System.Net;
using System.Net.Sockets;

namespace Coppice.Server.Tests.Servers;

/// <summary>What becomes of a connection at a message to the server.</summary>
enum Cut
{
    /// <summary>It goes through.</summary>
    None,

    /// <summary>The connection ends, and the server never sees it.</summary>
    Before,

    /// <summary>The server does what it says, and the connection ends before its answer comes through.</summary>
    After,
}

/// <summary>A way to a server, or to several in turn, on which connections end at moments that a test picks.</summary>
sealed class CuttingProxy : IDisposable
{
    readonly TcpListener listener;
    readonly IPEndPoint[] servers;
    readonly CutAt decide;
    readonly Lock gate = new();
    readonly CancellationTokenSource end = new();
    int cuts, turn;

    /// <summary>Decides about a message; one at a time.</summary>
    public delegate Cut CutAt(ReadOnlySpan<byte> message);

    /// <summary>Listens on a port; 0 takes a free one.</summary>
    public CuttingProxy(IPEndPoint[] servers, CutAt decide, int port = 0)
    {
        (this.servers, this.decide, listener) = (servers, decide, new TcpListener(IPAddress.Loopback, port));
        listener.Start();
        _ = Accept();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>Connections that were ended so far.</summary>
    public int Cuts => cuts;

    public void Dispose()
    {
        end.Cancel();
        listener.Dispose();
        end.Dispose();
    }

    async Task Accept()
    {
        CancellationToken cancel = end.Token;
        try
        {
            while (true)
                _ = Carry(await listener.AcceptSocketAsync(cancel), cancel);
        }
        catch (Exception over) when (cancel.IsCancellationRequested && over is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    async Task Carry(Socket client, CancellationToken cancel)
    {
        using Socket near = client;
        try
        {
            using Socket far = await Connect(cancel);
            near.NoDelay = far.NoDelay = true;
            // 1 once no answer is to come through any more.
            int[] silent = [0];
            await await Task.WhenAny(There(near, far, silent, cancel), Back(far, near, silent, cancel));
        }
        catch (Exception over) when (over is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // One side is gone, and with the end of this method the other is.
        }
    }

    // The next one that answers.
    async Task<Socket> Connect(CancellationToken cancel)
    {
        for (int tries = 1; ; tries++)
        {
            Socket far = new(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await far.ConnectAsync(servers[Interlocked.Increment(ref turn) % servers.Length], cancel);
                return far;
            }
            catch (SocketException)
            {
                far.Dispose();
                if (tries == servers.Length)
                    throw;
            }
        }
    }

    async Task There(Socket near, Socket far, int[] silent, CancellationToken cancel)
    {
        byte[] buffer = new byte[1 << 16];
        while (await near.ReceiveAsync(buffer, cancel) is var count and > 0)
        {
            Cut cut;
            lock (gate)
                cut = decide(buffer.AsSpan(0, count));
            if (cut != Cut.None)
                Interlocked.Increment(ref cuts);
            if (cut == Cut.Before)
                return;
            if (cut == Cut.After)
                Volatile.Write(ref silent[0], 1);
            await far.SendAsync(buffer.AsMemory(0, count), cancel);
        }
    }

    static async Task Back(Socket far, Socket near, int[] silent, CancellationToken cancel)
    {
        byte[] buffer = new byte[1 << 16];
        while (await far.ReceiveAsync(buffer, cancel) is var count and > 0)
        {
            if (Volatile.Read(ref silent[0]) == 1)
                return;
            await near.SendAsync(buffer.AsMemory(0, count), cancel);
        }
    }
}
