namespace Coppice.Models;

/// <summary>Matrices that compress together, in groups that read one input each. No group's input depends on another group of its stage.</summary>
public sealed class Stage(params IReadOnlyList<IReadOnlyList<Linear>> groups)
{
    /// <summary>The groups: one in most stages, one for each expert in a mixture's.</summary>
    public IReadOnlyList<IReadOnlyList<Linear>> Groups => groups;

    /// <summary>All matrices, group after group.</summary>
    public IEnumerable<Linear> Matrices => groups.SelectMany(group => group);
}
