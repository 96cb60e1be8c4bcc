using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Tests.Formats;

public sealed class AtomicTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_file_is_replaced_whole()
    {
        File.WriteAllText(folder["a"], "a longer text that was there before");
        AtomicFile.WriteText(folder["a"], "new");
        Assert.Equal("new", File.ReadAllText(folder["a"]));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_full_disk_leaves_the_old_file_and_nothing_partial()
    {
        File.WriteAllText(folder["a"], "old");
        CoppiceException error = Assert.Throws<CoppiceException>(() => AtomicFile.Write(folder["a"], stream =>
        {
            stream.Write(new byte[1 << 20]);
            throw new IOException("No space left on device");
        }));
        Assert.Equal($"{folder["a"]}: could not be written: No space left on device", error.Message);
        Assert.Equal("old", File.ReadAllText(folder["a"]));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_missing_folder_is_made()
    {
        AtomicFile.WriteText(folder["no/such/file"], "whole");
        Assert.Equal("whole", File.ReadAllText(folder["no/such/file"]));
        Assert.Single(Directory.GetFileSystemEntries(folder["no/such"]));
    }

    [Fact]
    public void A_file_in_a_folder_s_place_is_one_clear_line()
    {
        File.WriteAllText(folder["a"], "");
        CoppiceException error = Assert.Throws<CoppiceException>(() => AtomicFile.WriteText(folder["a/file"], ""));
        Assert.StartsWith(folder["a/file"] + ": could not be written: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_remainder_of_a_killed_run_is_written_over()
    {
        File.WriteAllText(folder["a.partial"], "half");
        AtomicFile.WriteText(folder["a"], "whole");
        Assert.Equal([folder["a"]], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_folder_appears_whole()
    {
        AtomicFolder.Write(folder["model"], ExistingFolder.Refuse, path =>
        {
            Assert.False(Directory.Exists(folder["model"]));
            File.WriteAllText(Path.Combine(path, "config.json"), "{}");
        });
        Assert.Equal("{}", File.ReadAllText(folder["model/config.json"]));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_failure_leaves_the_old_folder_and_nothing_partial()
    {
        AtomicFolder.Write(folder["model"], ExistingFolder.Refuse, path => File.WriteAllText(Path.Combine(path, "a"), "old"));
        Assert.Throws<CoppiceException>(() => AtomicFolder.Write(folder["model"], ExistingFolder.ReplaceOurs, path =>
        {
            File.WriteAllText(Path.Combine(path, "a"), "new");
            throw new IOException("No space left on device");
        }));
        Assert.Equal("old", File.ReadAllText(folder["model/a"]));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Our_folder_is_replaced_only_when_asked()
    {
        AtomicFolder.Write(folder["model"], ExistingFolder.Refuse, path => File.WriteAllText(Path.Combine(path, "old"), ""));
        Assert.Throws<CoppiceException>(() => AtomicFolder.Write(folder["model"], ExistingFolder.Refuse, _ => { }));
        AtomicFolder.Write(folder["model"], ExistingFolder.ReplaceOurs, path => File.WriteAllText(Path.Combine(path, "new"), ""));
        Assert.False(File.Exists(folder["model/old"]));
        Assert.True(File.Exists(folder["model/new"]));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Theory]
    [InlineData("photos")]
    [InlineData("photos.partial")]
    [InlineData("photos.old")]
    public void A_folder_of_the_user_is_never_replaced(string theirs)
    {
        Directory.CreateDirectory(folder[theirs]);
        File.WriteAllText(folder[theirs + "/holiday.jpg"], "precious");
        Assert.Throws<CoppiceException>(() => AtomicFolder.Write(folder["photos"], ExistingFolder.ReplaceOurs, _ => { }));
        Assert.Equal("precious", File.ReadAllText(folder[theirs + "/holiday.jpg"]));
    }

    [Fact]
    public void A_folder_of_ours_that_the_user_added_to_is_not_replaced()
    {
        AtomicFolder.Write(folder["model"], ExistingFolder.Refuse, path => File.WriteAllText(Path.Combine(path, "weights"), ""));
        AtomicFolder.Write(folder["model"], ExistingFolder.ReplaceOurs, path => File.WriteAllText(Path.Combine(path, "weights"), "new"));
        File.WriteAllText(folder["model/notes.txt"], "precious");
        Assert.Equal($"{folder["model"]}: holds notes.txt, which Coppice did not write there; move it away, or name another folder",
            Assert.Throws<CoppiceException>(() => AtomicFolder.Write(folder["model"], ExistingFolder.ReplaceOurs, _ => { })).Message);
        Assert.Equal("precious", File.ReadAllText(folder["model/notes.txt"]));
    }
}
