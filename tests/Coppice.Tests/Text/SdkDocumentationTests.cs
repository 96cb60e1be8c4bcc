using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text;

public class SdkDocumentationTests
{
    [Theory]
    [InlineData("""<member name="T:System.Collections.Generic.List`1"><summary>A list.</summary></member>""", "System.Collections.Generic.List\nA list.")]
    [InlineData("""
        <member name="P:System.String.Length"><summary>
        Gets the   length of <see cref="T:System.String" />.</summary><value>A number.</value></member>
        """, "String.Length\nGets the length of String.\nValue: A number.")]
    [InlineData("""
        <member name="M:System.String.Trim(System.Char)"><returns>What <paramref name="trimChar"/> left.</returns><param name="trimChar">A character, or <see langword="null"/>.</param>
        <summary><para>Trims.</para><para>See <see cref="M:System.String.#ctor(System.Char)"/> and <c>code</c>.</para></summary>
        <exception cref="T:System.ArgumentException">Never.</exception></member>
        """, "String.Trim(trimChar)\nTrims. See String and code.\ntrimChar: A character, or null.\nReturns: What trimChar left.\nThrows ArgumentException: Never.")]
    [InlineData("""<member name="M:System.Uri.#ctor(System.String,System.Int32)"><summary>Makes <see cref="M:A.B.C``1(D{E.F})">one</see>.</summary><param name="a"/><param name="b">B.</param></member>""", "new Uri(a, b)\nMakes one.\nb: B.")]
    [InlineData("""<member name="M:A.List`1.System#Collections#IList#Add(System.Object)"><summary>Adds. <list type="table"><listheader><term>T</term></listheader><item><term>x</term><description>y</description></item></list></summary></member>""", "List.Add()\nAdds. x: y")]
    public void A_member_reads_as_plain_text(string member, string text)
    {
        using TemporaryFolder root = new();
        Pack(root, "Microsoft.NETCore.App.Ref", "10.0.0", "A", member);
        Assert.Equal(text, Assert.Single(new SdkDocumentation(root.Path).Read("A")).Text);
    }

    [Fact]
    public void Members_without_a_summary_of_their_own_and_lines_seen_before_are_dropped()
    {
        using TemporaryFolder root = new();
        Pack(root, "Microsoft.NETCore.App.Ref", "10.0.0", "A", """
            <member name="P:N.A.X"><summary>Gets it.</summary><returns>A number.</returns></member>
            <member name="P:N.B.X"><summary>Gets it.</summary><returns>Another number.</returns></member>
            <member name="P:N.B.Y"><summary>Sets it.</summary><returns>A number.</returns></member>
            <member name="P:N.B.Z"><inheritdoc/></member>
            """);
        Assert.Equal(["A.X\nGets it.\nReturns: A number.", "B.Y\nSets it."], new SdkDocumentation(root.Path).Read("A").Select(document => document.Text));
    }

    [Fact]
    public void The_newest_version_is_read_and_a_file_in_both_packs_once()
    {
        using TemporaryFolder root = new();
        Pack(root, "Microsoft.NETCore.App.Ref", "9.0.10", "A", """<member name="T:Old"><summary>Old.</summary></member>""");
        Pack(root, "Microsoft.NETCore.App.Ref", "10.0.2", "A", """<member name="T:New"><summary>New.</summary></member>""");
        Pack(root, "Microsoft.AspNetCore.App.Ref", "10.0.2", "A", """<member name="T:Twice"><summary>Twice.</summary></member>""");
        Pack(root, "Microsoft.AspNetCore.App.Ref", "10.0.2", "B", """<member name="T:Web"><summary>Web.</summary></member>""");
        SdkDocumentation sdk = new(root.Path);
        Assert.Equal(["A", "B"], sdk.Assemblies);
        Assert.Equal(["T:New", "T:Web"], sdk.Assemblies.SelectMany(sdk.Read).Select(document => document.Source));
    }

    [Fact]
    public void A_missing_SDK_or_assembly_and_a_damaged_file_are_one_clear_line()
    {
        using TemporaryFolder root = new();
        Assert.Equal($"No .NET SDK documentation: found no packs/Microsoft.NETCore.App.Ref/*/ref/*/*.xml in '{root.Path}'; install the .NET SDK (not only the runtime) or name its folder",
            Assert.Throws<CoppiceException>(() => Corpus.Open("sdk:test", new CorpusOptions { SdkRoot = root.Path })).Message);
        Pack(root, "Microsoft.NETCore.App.Ref", "10.0.0", "A", "<member");
        Assert.StartsWith(Path.Combine(root.Path, "packs"), Assert.Throws<CoppiceException>(() => new SdkDocumentation(root.Path).Read("A").Count()).Message);
        Assert.Contains("documents no assembly 'B'", Assert.Throws<CoppiceException>(() => new SdkDocumentation(root.Path).Read("B").Count()).Message);
    }

    [Theory]
    [InlineData("M:System.String.Trim", SdkPart.Valid)]              // 0.936
    [InlineData("M:System.String.Trim(System.Char)", SdkPart.Valid)] // as its other overloads
    [InlineData("T:System.Half", SdkPart.Train)]                     // 0.868
    [InlineData("T:System.Uri", SdkPart.Test)]                       // 0.990
    public void A_members_part_never_changes(string id, SdkPart part) => Assert.Equal(part, SdkDocumentation.PartOf(id));

    [Fact]
    public void The_parts_of_the_installed_SDK_are_disjoint_and_leave_the_clients_out()
    {
        Corpus[] parts = [Corpus.Open("sdk"), Corpus.Open("sdk:valid"), Corpus.Open("sdk:test")];
        HashSet<string>[] sources = [.. parts.Select(part => part.Documents.Select(document => document.Source).ToHashSet())];
        Assert.False(sources[0].Overlaps(sources[1]) || sources[0].Overlaps(sources[2]) || sources[1].Overlaps(sources[2]));
        HashSet<string> trained = [.. Lines(parts[0])];
        Assert.DoesNotContain(parts.Skip(1).SelectMany(Lines), trained.Contains);
        double all = parts.Sum(part => part.ByteCount);
        Assert.Equal(0.90, parts[0].ByteCount / all, 0.02);
        Assert.Equal(0.05, parts[1].ByteCount / all, 0.01);
        Assert.InRange(all, 5e6, 20e6);

        foreach (string client in SdkDocumentation.ClientAssemblies)
        {
            Corpus[] own = [Corpus.Open($"sdk:client/{client}"), Corpus.Open($"sdk:client/{client}:valid"), Corpus.Open($"sdk:client/{client}:test")];
            string[] ids = [.. own.SelectMany(part => part.Documents).Select(document => document.Source)];
            Assert.Equal(ids.Length, ids.Distinct().Count());
            Assert.DoesNotContain(ids, id => sources.Any(part => part.Contains(id)));
            Assert.InRange(own.Sum(part => part.ByteCount), 100_000, 700_000);
        }
    }

    // all but the name
    static IEnumerable<string> Lines(Corpus corpus) => corpus.Documents.SelectMany(document => document.Text.Split('\n').Skip(1));

    static void Pack(TemporaryFolder root, string pack, string version, string assembly, string members)
    {
        string folder = Path.Combine(root.Path, "packs", pack, version, "ref", "net" + version[..^2]);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, assembly + ".xml"), $"<doc><assembly><name>{assembly}</name></assembly><members>{members}</members></doc>");
    }
}
