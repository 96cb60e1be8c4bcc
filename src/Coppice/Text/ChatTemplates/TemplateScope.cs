namespace Coppice.Text.ChatTemplates;

/// <summary>Names and their values. A loop's body and a macro's have a scope of their own: what they set is not seen outside, and only a namespace carries values out.</summary>
sealed class TemplateScope(TemplateScope? parent)
{
    readonly Dictionary<string, object?> values = new(StringComparer.Ordinal);

    /// <summary>The value of a name; undefined where there is none.</summary>
    public object? this[string name]
    {
        get
        {
            for (TemplateScope? scope = this; scope is not null; scope = scope.Parent)
                if (scope.values.TryGetValue(name, out object? value))
                    return value;
            return new Undefined(name);
        }
        set => values[name] = value;
    }

    TemplateScope? Parent { get; } = parent;
}
