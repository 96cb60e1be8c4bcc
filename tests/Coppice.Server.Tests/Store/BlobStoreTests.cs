using System.Security.Cryptography;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Store;

public class BlobStoreTests
{
    [Fact]
    public void A_blob_is_named_by_its_bytes_and_is_there_once()
    {
        using TemporaryFolder folder = new();
        BlobStore blobs = new(folder["blobs"]);
        byte[] bytes = [1, 2, 3];
        string blob = blobs.Put(bytes);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(bytes)), blob);
        Assert.Equal(blob, blobs.Put(path => File.WriteAllBytes(path, bytes)));
        File.WriteAllBytes(folder["loose"], bytes);
        Assert.Equal(blob, blobs.Adopt(folder["loose"]));
        Assert.Equal(bytes, File.ReadAllBytes(blobs.PathOf(blob)));
        Assert.Equal([blob], Directory.GetFiles(folder["blobs"]).Select(Path.GetFileName));
        Assert.False(File.Exists(folder["loose"]));
    }

    [Fact]
    public void What_nobody_wants_is_swept_once_it_is_old_and_what_is_taken_in_again_is_new()
    {
        using TemporaryFolder folder = new();
        BlobStore blobs = new(folder["blobs"]);
        string wanted = blobs.Put([1]), old = blobs.Put([2]), again = blobs.Put([3]), asked = blobs.Put([4]), young = blobs.Put([5]);
        File.WriteAllBytes(folder["blobs/dead.partial"], [6]);
        foreach (string name in (string[])[wanted, old, again, asked, "dead.partial"])
            File.SetLastWriteTimeUtc(folder[$"blobs/{name}"], DateTime.UtcNow.AddHours(-2));
        blobs.Put([3]);
        Assert.True(blobs.Touch(asked));
        Assert.Equal(2, blobs.Sweep(new HashSet<string> { wanted }, TimeSpan.FromHours(1)));
        Assert.Equal(new[] { wanted, again, asked, young }.Order(), Directory.GetFiles(folder["blobs"]).Select(Path.GetFileName).Order());
        Assert.False(blobs.Touch(old));
        Assert.Equal(3, blobs.Sweep(new HashSet<string> { wanted }, TimeSpan.Zero));
        Assert.Equal(old, blobs.Put([2]));
        Assert.True(blobs.Has(old));
    }

    [Fact]
    public void A_blob_that_is_not_there_is_one_clear_error()
    {
        using TemporaryFolder folder = new();
        Assert.Contains("has no blob abc", Assert.Throws<CoppiceException>(() => new BlobStore(folder["blobs"]).PathOf("abc")).Message, StringComparison.Ordinal);
    }
}
