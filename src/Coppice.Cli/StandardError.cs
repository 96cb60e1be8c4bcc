using System.Text;

namespace Coppice.Cli;

/// <summary>Stderr that may be closed, as some schedulers leave it: what nobody can read must not end the work that it tells of.</summary>
sealed class StandardError(TextWriter inner) : TextWriter
{
    bool isClosed;

    /// <inheritdoc/>
    public override Encoding Encoding => inner.Encoding;

    /// <inheritdoc/>
    public override void Write(char value) => Tell(() => inner.Write(value));

    /// <inheritdoc/>
    public override void Write(string? value) => Tell(() => inner.Write(value));

    /// <inheritdoc/>
    public override void WriteLine(string? value) => Tell(() => inner.WriteLine(value));

    /// <inheritdoc/>
    public override void Flush() => Tell(inner.Flush);

    void Tell(Action write)
    {
        if (isClosed)
            return;
        try
        {
            write();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            isClosed = true;
        }
    }
}
