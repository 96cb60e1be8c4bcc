namespace Coppice.Report.Data;

/// <summary>A file or folder that was written.</summary>
/// <param name="Path">Where, as the user would type it.</param>
/// <param name="Description">What it is and who can open it.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Sha256">Its hash, where it is a file.</param>
public sealed record Artifact(string Path, string Description, long Bytes, string? Sha256 = null);
