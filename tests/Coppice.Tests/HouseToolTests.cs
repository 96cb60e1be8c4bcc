using System.Diagnostics;
using System.IO.Compression;
using System.Xml.Linq;
using Coppice.Tests.Formats;

namespace Coppice.Tests;

/// <summary>What dotnet's own tools say of the checkout. They take seconds and all cores, so they run by themselves, after everything else.</summary>
[Collection(Name)]
[CollectionDefinition(Name, DisableParallelization = true)]
public class HouseToolTests
{
    const string Name = "dotnet's tools";

#if DEBUG
    const string Configuration = "Debug";
#else
    const string Configuration = "Release";
#endif

    // The analyzers' part of it is in every build, where warnings are errors; to run them again would take three minutes.
    [Theory]
    [InlineData("whitespace")]
    [InlineData("style", "--diagnostics", "IMPORTS")]
    public void Dotnet_format_has_nothing_to_change(string part, params string[] options) => Dotnet(["format", part, "Coppice.slnx", "--verify-no-changes", "--no-restore", .. options]);

    [Fact]
    public void Dotnet_pack_yields_the_library_and_the_coppice_tool()
    {
        using TemporaryFolder folder = new();
        // The projects were built with these tests.
        foreach (string project in (string[])["Coppice", "Coppice.Cli"])
            Dotnet("pack", Path.Combine("src", project), "-c", Configuration, "--no-build", "-o", folder.Path);

        using ZipArchive library = Package(folder.Path, "Coppice.0");
        Assert.NotNull(library.GetEntry("lib/net10.0/Coppice.dll"));
        Assert.NotNull(library.GetEntry("lib/net10.0/Coppice.xml"));

        using ZipArchive tool = Package(folder.Path, "Coppice.Tool.0");
        ZipArchiveEntry settings = Assert.Single(tool.Entries, entry => entry.Name == "DotnetToolSettings.xml");
        using Stream stream = settings.Open();
        XElement command = Assert.Single(XDocument.Load(stream).Descendants("Command"));
        Assert.Equal("coppice", command.Attribute("Name")!.Value);
        string entryPoint = command.Attribute("EntryPoint")!.Value;
        Assert.NotNull(tool.GetEntry(settings.FullName.Replace(settings.Name, entryPoint, StringComparison.Ordinal)));
    }

    static ZipArchive Package(string folder, string start) =>
        ZipFile.OpenRead(Assert.Single(Directory.GetFiles(folder, "*.nupkg"), file => Path.GetFileName(file).StartsWith(start, StringComparison.Ordinal)));

    static void Dotnet(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = Repository.Root, RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"dotnet {string.Join(' ', arguments)}: exit code {process.ExitCode}\n{output}{errors.Result}");
    }
}
