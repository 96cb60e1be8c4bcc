using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>Exit codes of every command.</summary>
static class ExitCode
{
    public const int Done = 0, Failed = 1, Misuse = 2, GateMissed = 3, Interrupted = 130;
}

/// <summary>Options that do not go together, or one that is missing: exit code 2.</summary>
sealed class MisuseException(string message) : CoppiceException(message);

/// <summary>A limit that the user set does not hold: exit code 3.</summary>
sealed class GateMissedException(string message) : CoppiceException(message);

/// <summary>Ctrl-C in work that can go on later; the message says how.</summary>
sealed class InterruptedException(string message, OperationCanceledException cause) : OperationCanceledException(message, cause, cause.CancellationToken);
