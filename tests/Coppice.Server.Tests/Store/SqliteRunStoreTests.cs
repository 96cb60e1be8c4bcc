using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Store;

public sealed class SqliteRunStoreTests : RunStoreContract, IDisposable
{
    readonly TemporaryFolder folder = new();

    internal override IRunStore Open() => new SqliteRunStore(folder["federation.db"], Durability.Process);

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_file_that_is_no_database_is_refused_in_one_line()
    {
        File.WriteAllText(folder["text.db"], new string('x', 5000));
        string line = Assert.Throws<CoppiceException>(() => new SqliteRunStore(folder["text.db"])).Message;
        Assert.Contains("text.db", line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
    }
}
