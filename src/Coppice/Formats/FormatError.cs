using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>Failures about files that are not trusted: the message may quote names from them.</summary>
static class FormatError
{
    const int MaxLength = 400;

    /// <summary>One line, <c>path: message</c>, in which nothing quoted can break the line or steer a terminal.</summary>
    public static CoppiceException At(string path, string message, Exception? cause = null)
    {
        string cut = message.Length > MaxLength ? message[..MaxLength] + "..." : message;
        string line = $"{path}: {string.Concat(cut.Select(letter => char.IsControl(letter) ? '?' : letter))}";
        return cause is null ? new CoppiceException(line) : new CoppiceException(line, cause);
    }
}
