namespace Coppice.Federation;

/// <summary>What an answer takes.</summary>
public enum Pace
{
    /// <summary>Work: training, a pass over text.</summary>
    Work,

    /// <summary>None to speak of: who is there answers at once.</summary>
    Prompt,
}

/// <summary>The way to one client and back: bytes out, bytes in, and nothing else passes.</summary>
public interface IClientChannel
{
    /// <summary>The client's name, unique in a run.</summary>
    string Client { get; }

    /// <summary>Whether an exchange waits for somebody elsewhere, so that several are to be under way at once.</summary>
    bool IsRemote => false;

    /// <summary>Sends a task and waits for the update.</summary>
    /// <exception cref="Tensors.CoppiceException">The client failed or could not be reached; the round goes on without it.</exception>
    /// <exception cref="ClientStorageException">A client of this process could not keep its state; the run ends.</exception>
    ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, CancellationToken cancel);

    /// <summary>The same, for channels that wait no longer than an answer may take.</summary>
    ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, Pace pace, CancellationToken cancel) => Exchange(task, cancel);
}

/// <summary>A client in this process.</summary>
public sealed class LocalChannel(Client client) : IClientChannel
{
    /// <inheritdoc/>
    public string Client => client.Id;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, CancellationToken cancel) => client.Answer(task, cancel);
}
