using Coppice.Federation;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Tests.Federation;

public class ClientCorpusTests
{
    [Fact]
    public void Each_file_and_subfolder_is_a_client()
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["poems"]);
        File.WriteAllText(Path.Combine(folder["poems"], "one.txt"), "rose");
        File.WriteAllText(Path.Combine(folder["poems"], "two.txt"), "violet");
        File.WriteAllText(folder["letters.txt"], "dear");
        IReadOnlyList<ClientCorpus> clients = ClientCorpus.Open(folder.Path);
        Assert.Equal(["letters.txt", "poems"], clients.Select(client => client.Client));
        Assert.Equal(["rose", "violet"], clients[1].Train.Documents.Select(document => document.Text));
        Assert.All(clients, client => Assert.Null(client.HeldOut));
    }

    [Fact]
    public void A_folder_that_is_absent_or_empty_is_named()
    {
        using TemporaryFolder folder = new();
        Assert.Contains("is empty", Assert.Throws<CoppiceException>(() => ClientCorpus.Open(folder.Path)).Message, StringComparison.Ordinal);
        Assert.Contains("no such folder", Assert.Throws<CoppiceException>(() => ClientCorpus.Open(folder["none"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_sdk_gives_a_client_for_each_of_its_kept_out_assemblies()
    {
        IReadOnlyList<ClientCorpus> clients = ClientCorpus.Open("sdk");
        Assert.Equal(Coppice.Text.SdkDocumentation.ClientAssemblies, clients.Select(client => client.Client));
        Assert.All(clients, client => Assert.True(client.Train.ByteCount > 10 * client.HeldOut!.ByteCount));
    }
}
