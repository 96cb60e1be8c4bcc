namespace Coppice.Tensors;

/// <summary>A failure with one line for the user: what was found, what was wanted, where, and what to do.</summary>
public class CoppiceException : Exception
{
    /// <summary>A failure told in one line.</summary>
    public CoppiceException(string message) : base(message) { }

    /// <summary>A failure told in one line, with what caused it.</summary>
    public CoppiceException(string message, Exception cause) : base(message, cause) { }
}
