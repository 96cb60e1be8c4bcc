using Coppice.Federation;
using Coppice.Federation.Attacks;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Attacks;

public class AttackTests
{
    [Theory]
    [InlineData("signflip:0.2:3", -5)]
    [InlineData("scale:0.2:3", 7)]
    [InlineData("shuffle:0.2", 3)]
    public void What_is_sent_is_the_delta_times_the_strength(string name, float expected)
    {
        ParameterSet before = new([("w", Tensor.From([1], [1]))]), after = new([("w", Tensor.From([1], [3]))]);
        Assert.Equal(expected, Attack.Find(name).Forge(before, after).Tensors["w"].Data[0]);
    }

    [Fact]
    public void A_share_of_the_clients_attacks_whatever_their_order()
    {
        string[] clients = ["a", "b", "c", "d", "e", "f"];
        IReadOnlySet<string> drawn = Attack.Find("signflip:0.2").Attackers(clients, 3);
        Assert.Equal(2, drawn.Count);
        Assert.Equal(drawn, Attack.Find("signflip:0.2").Attackers(clients.Reverse(), 3));
        Assert.Empty(Attack.Find("signflip:0").Attackers(clients, 3));
    }

    [Fact]
    public void A_shuffled_text_has_the_same_tokens_in_another_order()
    {
        int[] tokens = [.. Enumerable.Range(0, 100)], shuffled = Attack.Find("shuffle:1").Text(tokens, 1);
        Assert.NotEqual(tokens, shuffled);
        Assert.Equal(tokens, shuffled.Order());
        Assert.Equal(tokens, Attack.Find("scale:1").Text(tokens, 1));
    }

    [Fact]
    public void A_wrong_name_is_refused() => Assert.Contains("is none of signflip", Assert.Throws<CoppiceException>(() => Attack.Find("hide:1")).Message, StringComparison.Ordinal);
}
