using System.Text.RegularExpressions;

namespace Coppice.Tests;

/// <summary>A folder of the library uses only the folders above it in this list.</summary>
public partial class ArchitectureTests
{
    static readonly string[] Order =
    [
        "Tensors", "Coding", "Weights", "Text", "Formats", "Models", "Inference", "Training", "Evaluation",
        "Explanation", "Compression", "Export", "Federation", "Experiments",
    ];

    static readonly string Library = Path.Combine(Repository.Root, "src", "Coppice");

    [Fact]
    public void Every_folder_of_the_library_has_a_place_in_the_order()
    {
        string[] folders = Directory.GetDirectories(Library).Select(Path.GetFileName).Where(name => name is not ("bin" or "obj")).ToArray()!;
        Assert.NotEmpty(folders);
        Assert.All(folders, folder => Assert.Contains(folder, Order));
    }

    [Fact]
    public void A_folder_uses_only_those_above_it()
    {
        List<string> wrong = [];
        foreach (string file in Sources())
        {
            string folder = Path.GetRelativePath(Library, file).Split(Path.DirectorySeparatorChar)[0];
            int place = Array.IndexOf(Order, folder);
            foreach (Match match in FolderReference().Matches(File.ReadAllText(file)))
                if (Array.IndexOf(Order, match.Groups[1].Value) > place)
                    wrong.Add($"{Path.GetRelativePath(Library, file)} uses {match.Groups[1].Value}");
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void Every_file_declares_the_namespace_of_its_folder()
    {
        List<string> wrong = [];
        foreach (string file in Sources())
        {
            string wanted = "Coppice." + Path.GetRelativePath(Library, Path.GetDirectoryName(file)!).Replace(Path.DirectorySeparatorChar, '.');
            Match match = Namespace().Match(File.ReadAllText(file));
            if (!match.Success || match.Groups[1].Value != wanted)
                wrong.Add($"{Path.GetRelativePath(Library, file)}: {match.Groups[1].Value}, wanted {wanted}");
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void The_library_writes_to_no_console_and_reads_no_environment_variable()
    {
        Assert.All(Sources(), file =>
        {
            string text = File.ReadAllText(file);
            Assert.False(ConsoleUse().IsMatch(text), $"{file} uses the console");
            Assert.False(text.Contains("Environment.GetEnvironmentVariable", StringComparison.Ordinal), $"{file} reads an environment variable");
        });
    }

    static IEnumerable<string> Sources() => Directory.EnumerateFiles(Library, "*.cs", SearchOption.AllDirectories)
        .Where(file => Path.GetRelativePath(Library, file).Split(Path.DirectorySeparatorChar)[0] is not ("bin" or "obj"));

    [GeneratedRegex(@"\bCoppice\.(\w+)")]
    private static partial Regex FolderReference();

    [GeneratedRegex(@"^namespace ([\w.]+);", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"\bConsole\.\w")]
    private static partial Regex ConsoleUse();
}
