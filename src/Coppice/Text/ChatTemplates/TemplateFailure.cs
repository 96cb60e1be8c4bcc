using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>A template failed, or refused a conversation by <c>raise_exception</c>; the message names its line.</summary>
public sealed class TemplateFailure : CoppiceException
{
    internal TemplateFailure(string message, Exception cause) : base(message, cause)
    {
    }
}
