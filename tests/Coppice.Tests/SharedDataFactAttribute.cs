namespace Coppice.Tests;

/// <summary>A test on data that lies outside the repository, at ../shared/data; skipped where it is absent.</summary>
sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute(params string[] files)
    {
        if (files.FirstOrDefault(file => !File.Exists(PathOf(file))) is string missing)
            Skip = $"no {PathOf(missing)}";
    }

    public static string PathOf(string file) => Path.GetFullPath(Path.Combine(Repository.Root, "..", "shared", "data", file));
}
