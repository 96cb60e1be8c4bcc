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
    public void A_blob_that_is_not_there_is_one_clear_error()
    {
        using TemporaryFolder folder = new();
        Assert.Contains("has no blob abc", Assert.Throws<CoppiceException>(() => new BlobStore(folder["blobs"]).PathOf("abc")).Message, StringComparison.Ordinal);
    }
}
