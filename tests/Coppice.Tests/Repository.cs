namespace Coppice.Tests;

/// <summary>Where the checkout that these tests were built from lies.</summary>
static class Repository
{
    /// <summary>The folder that holds Coppice.slnx.</summary>
    public static string Root { get; } = FindRoot();

    static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Coppice.slnx")))
            folder = folder.Parent;
        return folder?.FullName ?? throw new DirectoryNotFoundException($"No Coppice.slnx above {AppContext.BaseDirectory}");
    }
}
