using System.Runtime.CompilerServices;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>Bounds what a template may do: it comes with a model, and may have been made to hang or to fill the memory.</summary>
sealed class TemplateBudget
{
    /// <summary>Characters of the longest text.</summary>
    public const int MaxText = 1 << 26;

    const long MaxSteps = 20_000_000;
    const int MaxDepth = 200;

    long steps;
    int depth;

    /// <summary>Counts work.</summary>
    public void Step(long count = 1)
    {
        steps += count + 1;
        if (steps > MaxSteps)
            throw new CoppiceException($"it does more than {MaxSteps:N0} steps");
    }

    /// <summary>Enters an evaluation inside another; <see cref="Leave"/> ends it.</summary>
    public void Enter()
    {
        Step();
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new CoppiceException("it nests too deep");
    }

    /// <summary>Enters a macro; <see cref="Leave"/> ends it.</summary>
    public void Call()
    {
        if (++depth > MaxDepth)
            throw new CoppiceException($"macros call one another more than {MaxDepth} deep");
    }

    /// <summary>Leaves a macro.</summary>
    public void Leave() => depth--;

    /// <summary>Counts the characters of a text that was made.</summary>
    public string Text(string text)
    {
        if (text.Length > MaxText)
            throw new CoppiceException($"it makes a text of more than {MaxText:N0} characters");
        Step(text.Length / 64);
        return text;
    }

    /// <summary>Appends to the output.</summary>
    public void Append(StringBuilder output, string text)
    {
        if (output.Length + (long)text.Length > MaxText)
            throw new CoppiceException($"it writes more than {MaxText:N0} characters");
        Step(text.Length / 64);
        output.Append(text);
    }
}
