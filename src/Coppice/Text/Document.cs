namespace Coppice.Text;

/// <summary>One text of a corpus and where it came from: a path, a path and line, or a documentation id.</summary>
public sealed record Document(string Source, string Text);
