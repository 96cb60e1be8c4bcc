using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Coppice.Tests;

/// <summary>What holds for the whole checkout and can be seen without running a tool.</summary>
public class HouseTests
{
    const int LongestFile = 400;

    [Fact]
    public void Every_project_is_in_the_solution_and_has_a_lock_file()
    {
        string[] listed = [.. XDocument.Load(Path.Combine(Repository.Root, "Coppice.slnx")).Descendants("Project").Select(project => Path.GetFullPath(Path.Combine(Repository.Root, project.Attribute("Path")!.Value))).Order()];
        Assert.Equal(Files(Repository.Root, ".csproj").Order(), listed);
        Assert.All(listed, project => Assert.True(File.Exists(Path.Combine(Path.GetDirectoryName(project)!, "packages.lock.json")), $"{project}: no packages.lock.json beside it"));
    }

    [Fact]
    public void The_readme_names_both_commands()
    {
        string readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));
        Assert.Contains("dotnet run --project src/Coppice.Cli -c Release -- quickstart", readme, StringComparison.Ordinal);
        Assert.Contains("dotnet test -c Release", readme, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_link_between_documents_leads_somewhere()
    {
        string[] documents = [.. Files(Repository.Root, ".md")];
        Assert.NotEmpty(documents);
        Assert.Empty(documents.SelectMany(document => Regex.Matches(File.ReadAllText(document), @"\]\((?!https?://)([^)#]+)[^)]*\)")
            .Select(link => Path.Combine(Path.GetDirectoryName(document)!, link.Groups[1].Value))
            .Where(target => !Path.Exists(target))
            .Select(target => $"{Path.GetRelativePath(Repository.Root, document)}: {target}")));
    }

    [Fact]
    public void No_source_file_is_longer_than_a_reader_will_read()
    {
        string[] sources = [.. Files(Path.Combine(Repository.Root, "src"), ".cs", ".razor")];
        Assert.NotEmpty(sources);
        Assert.Empty(sources.Select(file => $"{Path.GetRelativePath(Repository.Root, file)}: {File.ReadLines(file).Count()} lines").Where((_, i) => File.ReadLines(sources[i]).Count() > LongestFile));
    }

    [Fact]
    public void Packages_of_node_are_pinned_without_the_host_that_they_came_from()
    {
        string text = File.ReadAllText(Path.Combine(Repository.Root, "tests", "interop", "package-lock.json"));
        Assert.Contains("\"integrity\"", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\"resolved\"", text, StringComparison.Ordinal);
    }

    // Below a folder, without what builds and package managers put there.
    static IEnumerable<string> Files(string folder, params string[] extensions) =>
        Directory.EnumerateDirectories(folder)
            .Where(child => Path.GetFileName(child) is not ("bin" or "obj" or "node_modules" or "artifacts" or "out" or ".git"))
            .SelectMany(child => Files(child, extensions))
            .Concat(Directory.EnumerateFiles(folder).Where(file => extensions.Contains(Path.GetExtension(file))));
}
