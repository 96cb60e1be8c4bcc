using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>A client's state could not be kept or read: its disk failed, not its answer. Over a network that is one client less; a simulation, whose disk it is, ends, which is why this is none of the exceptions that a round takes for a client that failed.</summary>
public sealed class ClientStorageException(string client, CoppiceException cause) : IOException($"client '{client}', its state: {cause.Message}", cause);
