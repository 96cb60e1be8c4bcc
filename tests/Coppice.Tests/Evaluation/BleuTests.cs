using Coppice.Evaluation;
using Coppice.Tensors;

namespace Coppice.Tests.Evaluation;

/// <summary>Expected numbers are those that sacreBLEU gives for the same lines: some from its own tests, the others computed with it.</summary>
public class BleuTests
{
    static readonly string[] dog = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."];

    static readonly string[][] dogs =
    [
        ["The dog bit the man.", "The dog had bit the man."], ["It was not unexpected.", "No one was surprised."], ["The man bit him first.", "The man had bitten the dog."],
    ];

    static readonly string[] house = ["The house is small.", "In 2021, 3.5% of the U.S. economy shrank - by far.", "He said: \"no\".", ""];

    static readonly string[][] houses =
    [
        ["The house is small.", "The home is little."], ["In 2021 3.5% of the US economy shrank by far.", "About 3.5% of the U.S. economy shrank in 2021."], ["He said, \"No.\"", "\"No\", he said."], ["Nothing.", ""],
    ];

    [Theory]
    [InlineData("Hello, world!", "Hello , world !")]
    [InlineData("It costs $1,234.56 (or 5-6%).", "It costs $ 1,234.56 ( or 5 - 6 % ) .")]
    [InlineData("don't &quot;stop&quot; &amp; go &lt;b&gt;", "don't \" stop \" & go < b >")]
    [InlineData("U.S.A. 3.5.2021, 10-year-old A-B -7", "U . S . A . 3.5.2021 , 10 - year-old A-B -7")]
    [InlineData("„Straße“ – 20,5 °C; a/b [x]{y}~z^`", "„Straße“ – 20,5 °C ; a / b [ x ] { y } ~ z ^ `")]
    [InlineData("  two   spaces\tand tab ", "two spaces and tab")]
    [InlineData("...,,,. 1,a a,1 .5 5. ,5,", ". . . , , , . 1 , a a , 1 . 5 5 . , 5 ,")]
    [InlineData("a<skipped>b x-\ny z\nw", "ab xy z w")]
    [InlineData("日本。 a\u00a0b 1.", "日本。 a b 1 .")]
    [InlineData("", "")]
    public void Words_are_those_of_mteval_v13a(string segment, string words) => Assert.Equal(words, string.Join(' ', Tokenizer13a.Split(segment)));

    [Fact]
    public void Scores_of_several_references_are_sacrebleus()
    {
        Assert.Equal(48.530827, Measure(dog, dogs).Bleu.Value, 1e-6);
        Assert.Equal(0, Measure(["", "", ""], dogs).Bleu.Value);
        BleuScores scores = Measure(house, houses);
        Assert.Equal(60.31438126838852, scores.Bleu.Value, 1e-9);
        Assert.Equal([86.20689655172414, 65.38461538461539, 52.17391304347826, 45.0], scores.Precisions.ToArray());
        Assert.Equal((1.0, 29L, 26L), (scores.BrevityPenalty, scores.Words, scores.ReferenceWords));
    }

    [Fact]
    public void Scores_of_one_reference_are_sacrebleus()
    {
        Assert.Equal(33.81706926877226, Measure(house, [.. houses.Select(segment => segment[..1])]).Bleu.Value, 1e-9);
        Assert.Equal(8.493098745313148, Measure(["Producția de zahăr primă va fi exprimată în ceea ce privește zahărul alb;"], [["producţia de zahăr brut se exprimă în zahăr alb;"]]).Bleu.Value, 1e-9);
        Assert.Equal(46.30777161991026, Measure(["a b c x"], [["a b c d e"]]).Bleu.Value, 1e-9);
    }

    // p = 5/7, 2/5, 1/3 and, smoothed, 1/(2 * 2); penalty exp(1 - 8/7).
    [Fact]
    public void An_order_without_a_match_is_smoothed_and_a_short_translation_pays()
    {
        BleuScores scores = Measure(["a b c d e", "x y"], [["a b c f e"], ["z y w"]]);
        Assert.Equal(100 * Math.Exp(-1.0 / 7) * Math.Pow(5.0 / 7 * 2 / 5 / 3 / 4, 0.25), scores.Bleu.Value, 1e-9);
        Assert.Equal(34.05223395637377, scores.Bleu.Value, 1e-9);
        Assert.Equal(0.8668778997501817, scores.BrevityPenalty, 1e-12);
        Assert.Equal(0, Bleu.Measure(["a b c d e"], [["a b c f e"]], new Random(1), BleuSmoothing.None).Bleu.Value);
        Assert.Equal(0, Measure(["a b"], [["a b"]]).Bleu.Value);
        Assert.Equal(0, Measure(["this is a test", "another test"], [["ref1"], ["ref2"]]).Bleu.Value);
    }

    [Fact]
    public void A_translation_equal_to_a_reference_scores_100_without_an_error()
    {
        BleuScores scores = Measure([.. Enumerable.Repeat("the house is small .", 5)], [.. Enumerable.Repeat<string[]>(["something else", "the house is small ."], 5)]);
        Assert.Equal(100, scores.Bleu.Value, 1e-9);
        Assert.Equal(0, scores.Bleu.StandardError, 1e-9);
        Assert.True(double.IsNaN(Measure(["a b c d"], [["a b c d"]]).Bleu.StandardError));
    }

    // Of segments that are wholly right or wholly wrong, in equal words, all precisions are the right ones' share, and the score is 100 times it: its bootstrap error is that of a share.
    [Fact]
    public void The_bootstrap_error_of_a_share_is_that_of_the_binomial()
    {
        const int Segments = 400;
        string[] translations = [.. Enumerable.Range(0, Segments).Select(i => i % 4 == 0 ? "one two three four five" : "six seven eight nine ten")];
        BleuScores scores = Measure(translations, [.. Enumerable.Repeat<string[]>(["six seven eight nine ten"], Segments)]);
        double error = 100 * Math.Sqrt(0.25 * 0.75 / Segments);
        Assert.Equal(75, scores.Bleu.Value, 1e-9);
        Assert.InRange(scores.Bleu.StandardError, 0.9 * error, 1.1 * error);
        Assert.InRange(scores.Interval95.Low, 75 - (2.3 * error), 75 - (1.6 * error));
        Assert.InRange(scores.Interval95.High, 75 + (1.6 * error), 75 + (2.3 * error));
        Assert.Equal(scores.Bleu, Measure(translations, [.. Enumerable.Repeat<string[]>(["six seven eight nine ten"], Segments)]).Bleu);
    }

    // Of wholly right or wrong segments a score is 100 times the share that is right, so that a difference of two is 100 times a mean of -1, 0 and 1.
    [Fact]
    public void The_bootstrap_error_of_a_difference_is_that_of_the_paired_mean()
    {
        const int Segments = 400;
        string[][] references = [.. Enumerable.Repeat<string[]>(["six seven eight nine ten"], Segments)];
        string[] better = Right(i => i % 4 != 0), worse = Right(i => i % 4 is 2 or 3);
        (Score difference, Interval interval) = Bleu.Compare(better, worse, references, new Random(1));
        double error = 100 * Math.Sqrt((0.25 - 0.25 * 0.25) / Segments);
        Assert.Equal(25, difference.Value, 1e-9);
        Assert.InRange(difference.StandardError, 0.9 * error, 1.1 * error);
        Assert.InRange(interval.Low, 25 - (2.3 * error), 25 - (1.6 * error));
        (Score characters, _) = ChrF.Compare(better, worse, references, new Random(1));
        Assert.Equal(25, characters.Value, 1e-9);
        Assert.InRange(characters.StandardError, 0.9 * error, 1.1 * error);

        string[] Right(Func<int, bool> isRight) => [.. Enumerable.Range(0, Segments).Select(i => isRight(i) ? "six seven eight nine ten" : "aaa bbbbb ccccc dddd fff")];
    }

    [Fact]
    public void A_difference_is_that_of_the_two_scores_and_of_a_translation_from_itself_nothing()
    {
        string[] other = ["The home is small.", "In 2021, 3.5% of the economy shrank.", "He said no.", "x"];
        (Score difference, _) = Bleu.Compare(house, other, houses, new Random(1));
        Assert.Equal(Measure(house, houses).Bleu.Value - Measure(other, houses).Bleu.Value, difference.Value, 1e-9);
        Assert.Equal(Characters(house, houses) - Characters(other, houses), ChrF.Compare(house, other, houses, new Random(1)).Difference.Value, 1e-9);
        (difference, Interval interval) = Bleu.Compare(house, house, houses, new Random(1));
        Assert.Equal((0, 0, new Interval(0, 0)), (difference.Value, difference.StandardError, interval));
        Assert.Equal("BLEU: 3 translations and references of 4", Assert.Throws<CoppiceException>(() => Bleu.Compare(house, dog, houses, new Random(1))).Message);
    }

    [Fact]
    public void The_signature_says_what_was_measured() =>
        Assert.Matches("^references=[0-9a-f]{12}\\|nrefs:2\\|case:mixed\\|eff:no\\|tok:13a\\|smooth:exp$", Measure(dog, dogs).Bleu.Signature);

    [Fact]
    public void Numbers_that_do_not_match_are_refused()
    {
        Assert.Equal("BLEU: 3 translations and references of 1", Assert.Throws<CoppiceException>(() => Measure(dog, [["a"]])).Message);
        Assert.Equal("BLEU: no translations", Assert.Throws<CoppiceException>(() => Measure([], [])).Message);
        Assert.Equal("BLEU: translation 2 has no reference", Assert.Throws<CoppiceException>(() => Measure(["a", "b"], [["a"], []])).Message);
    }

    [Fact]
    public void Character_scores_are_sacrebleus()
    {
        Assert.Equal(68.23547210382057, Characters(house, [.. houses.Select(segment => segment[..1])]), 1e-9);
        Assert.Equal(68.90979057760099, Characters(house, houses), 1e-9);
        Assert.Equal(64.57643844013616, Characters(["Die Beziehung zwischen Obama und Netanjahu ist nicht gerade freundlich.", "a"], [["Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade freundschaftlich."], ["ab"]]), 1e-9);
        Assert.Equal(100, Characters(["a b c"], [["abc"]]), 1e-9);
        Assert.Equal(0, Characters([""], [["reference"]]));
        Assert.Equal(50, Characters(["a", "b"], [["a"], ["c"]]), 1e-9);
    }

    static double Characters(string[] translations, string[][] references) => ChrF.Measure(translations, references, new Random(1)).Score.Value;

    static BleuScores Measure(string[] translations, string[][] references) => Bleu.Measure(translations, references, new Random(1));
}
