using System.Security.Cryptography.X509Certificates;
using Coppice.Federation.Remote;
using Coppice.Server.Certificates;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Server.Tests.Certificates;

public sealed class AuthorityTests : IDisposable
{
    readonly TemporaryFolder folder = new();
    readonly DateTimeOffset now = TimeProvider.System.GetUtcNow();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_client_s_one_file_holds_all_that_it_needs()
    {
        using (Authority authority = Authority.Create(folder.Path, now))
            authority.IssueClient("anna", now);
        using Authority opened = Authority.Open(folder.Path);
        using ClientIdentity identity = ClientIdentity.Load(folder["clients/anna.pem"], TimeProvider.System);
        Assert.Equal(("anna", true), (identity.Name, identity.Certificate.HasPrivateKey));
        Assert.Equal(opened.Certificate.RawData, identity.Authority.RawData);
        Assert.Null(opened.Refuses(identity.Certificate, now));
        Assert.Contains("valid from", opened.Refuses(identity.Certificate, now.AddYears(9)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_s_machine_needs_no_key_of_the_authority()
    {
        using (Authority authority = Authority.Create(folder.Path, now))
        {
            authority.IssueServer(["localhost"], now);
            authority.IssueClient("anna", now);
        }
        Directory.CreateDirectory(folder["elsewhere"]);
        foreach (string file in new[] { "authority.pem", "server.pem" })
            File.Copy(folder[file], folder["elsewhere/" + file]);
        using Authority copy = Authority.Open(folder["elsewhere"]);
        using X509Certificate2 server = copy.Server();
        using ClientIdentity identity = ClientIdentity.Load(folder["clients/anna.pem"], TimeProvider.System);
        Assert.True(server.HasPrivateKey);
        Assert.Null(copy.Refuses(identity.Certificate, now));
        Assert.Contains("authority.key", Assert.Throws<CoppiceException>(() => copy.IssueClient("bert", now)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Certificates_of_another_authority_or_for_another_use_are_refused()
    {
        using Authority authority = Authority.Create(folder.Path, now);
        using Authority other = Authority.Create(folder["other"], now);
        (string path, string thumbprint) = other.IssueClient("anna", now);
        using ClientIdentity foreign = ClientIdentity.Load(path, TimeProvider.System);
        Assert.Equal(thumbprint, Authority.ThumbprintOf(foreign.Certificate));
        Assert.Contains("not issued to a client by this run's authority", authority.Refuses(foreign.Certificate, now), StringComparison.Ordinal);

        authority.IssueServer(["localhost", "127.0.0.1"], now);
        using X509Certificate2 server = authority.Server();
        Assert.Contains("not issued to a client", authority.Refuses(server, now), StringComparison.Ordinal);
        Assert.True(server.MatchesHostname("localhost") && server.MatchesHostname("127.0.0.1"));
        Assert.False(server.MatchesHostname("example.org"));
    }

    [Fact]
    public void Only_the_owner_may_read_the_files()
    {
        if (OperatingSystem.IsWindows())
            return; // has no such modes
        using Authority authority = Authority.Create(folder.Path, now);
        authority.IssueServer(["localhost"], now);
        authority.IssueClient("anna", now);
        authority.IssueClient("anna", now);
        string[] files = Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories);
        Assert.Equal(4, files.Length);
        foreach (string file in files)
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Theory]
    [InlineData("")]
    [InlineData("../anna")]
    [InlineData("anna/../../x")]
    [InlineData(".hidden")]
    [InlineData("two words")]
    [InlineData("line\nbreak")]
    public void A_name_that_would_leave_its_folder_or_its_line_is_refused(string name)
    {
        using Authority authority = Authority.Create(folder.Path, now);
        string line = Assert.Throws<CoppiceException>(() => authority.IssueClient(name, now)).Message;
        Assert.DoesNotContain('\n', line);
    }

    [Fact]
    public void What_is_no_certificate_is_one_clear_line()
    {
        File.WriteAllText(folder["text.pem"], "nothing");
        foreach (string file in new[] { "text.pem", "absent.pem" })
            Assert.Contains(file, Assert.Throws<CoppiceException>(() => ClientIdentity.Load(folder[file], TimeProvider.System)).Message, StringComparison.Ordinal);
        using Authority authority = Authority.Create(folder.Path, now.AddDays(-30));
        (string path, _) = authority.IssueClient("anna", now.AddDays(-9), TimeSpan.FromDays(2));
        Assert.Contains("ask for a new one", Assert.Throws<CoppiceException>(() => ClientIdentity.Load(path, TimeProvider.System)).Message, StringComparison.Ordinal);
    }
}
