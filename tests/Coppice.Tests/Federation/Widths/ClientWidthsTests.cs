using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Federation.Widths;

public class ClientWidthsTests
{
    static readonly DecoderModel Model = Wide.Model();

    static readonly string[] Clients = [.. Enumerable.Range(0, 10).Select(Tiny.Name)];

    [Theory]
    [InlineData("0.5,1", 5)]
    [InlineData("0.5:0.3,1:0.7", 3)]
    [InlineData("0.5:3,1:1", 8)]
    [InlineData("1", 0)]
    [InlineData("0.5", 10)]
    [InlineData("client-3=0.5,1", 1)]
    [InlineData("client-3=1,client-4=1,0.5", 8)]
    public void Shares_fall_on_whole_clients(string text, int narrow) => Assert.Equal(narrow, ClientWidths.Find(text).Deal(Model, Clients, 1).Count);

    [Fact]
    public void A_seed_draws_who_gets_which_and_a_name_says_it()
    {
        string[][] drawn = [.. new[] { 1, 1, 2 }.Select(seed => ClientWidths.Find("0.5:0.4,1:0.6").Deal(Model, Clients, seed).Keys.Order(StringComparer.Ordinal).ToArray())];
        Assert.Equal(drawn[0], drawn[1]);
        Assert.NotEqual(drawn[0], drawn[2]);
        IReadOnlyDictionary<string, SubModel> named = ClientWidths.Find("client-3=0.25,0.5").Deal(Model, [.. Clients.Reverse()], 1);
        Assert.Equal((0.25, 0.5, 10), (named["client-3"].Width, named["client-4"].Width, named.Count));
        Assert.Same(named["client-4"], named["client-5"]);
    }

    [Theory]
    [InlineData("", "''")]
    [InlineData("0", "'0' in '0', wanted a number from 0.001 to 1")]
    [InlineData("0.5,2", "'2' in")]
    [InlineData("0.5:0", "'0' in")]
    [InlineData("0.5:1:1", "wanted NUMBER")]
    [InlineData("a=0.5,a=1,1", "each client once")]
    [InlineData("a=0.5", "has no number for clients that it does not name")]
    public void What_is_no_width_is_refused_in_one_line(string text, string reason) => Assert.Contains(reason, Assert.Throws<CoppiceException>(() => ClientWidths.Find(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_client_that_is_not_there_is_named() =>
        Assert.Contains("'nobody', which is not in the run (client-0, client-1", Assert.Throws<CoppiceException>(() => ClientWidths.Find("nobody=0.5,1").Deal(Model, Clients, 1)).Message, StringComparison.Ordinal);
}

/// <summary>A model of two layers whose heads share keys and values in pairs.</summary>
static class Wide
{
    public static DecoderModel Model(int seed = 1) => Initialization.Random(new DecoderConfig
    {
        HiddenSize = 16,
        IntermediateSize = 20,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        HeadWidth = 4,
        VocabularySize = Tiny.Vocabulary,
        ContextLength = Tiny.Context,
    }, seed);
}
