using Coppice.Server.Rounds;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Rounds;

public sealed class UploadStoreTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void One_coordinator_at_a_time_holds_an_assignment_and_the_others_can_look()
    {
        UploadStore one = new(folder["uploads"]), other = new(folder["uploads"]);
        using (IDisposable? held = one.Lock(7))
        {
            Assert.NotNull(held);
            Assert.Null(other.Lock(7));
            Assert.Null(one.Lock(7));
            other.Lock(8)!.Dispose();
            one.Append(7, [1, 2, 3]);
            Assert.Equal(3, other.Length(7));
        }
        using (other.Lock(7))
        {
            other.Append(7, [4]);
            Assert.Equal(one.Hash(7), RunFolder.Hash([1, 2, 3, 4]));
            other.Forget(7);
        }
        Assert.Equal(0, one.Length(7));
        Assert.Equal(["8.lock"], Directory.GetFiles(folder["uploads"]).Select(Path.GetFileName));
    }
}
