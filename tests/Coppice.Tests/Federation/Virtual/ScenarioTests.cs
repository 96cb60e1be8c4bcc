using Coppice.Federation;
using Coppice.Federation.Virtual;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Federation.Virtual;

public class ScenarioTests
{
    [Fact]
    public void What_is_written_counts_and_what_is_not_stays()
    {
        Scenario scenario = Scenario.Parse("rounds: 7\ncodec: topk:0.02\noptimizer: sgd\nfreshClients: true\nworld: { dropout: 0.25, minimum: 3 }", "s.yaml", Tiny.Options);
        Assert.Equal((7, Tiny.Options.LocalSteps, "topk:0.02:int4", OptimizerKind.Sgd, true), (scenario.Options.Rounds, scenario.Options.LocalSteps, scenario.Options.Codec.Name, scenario.Options.Training.Optimizer, scenario.Options.FreshClients));
        Assert.Equal(new World { Dropout = 0.25, Minimum = 3 }, scenario.World);
        Assert.Null(Scenario.Parse("rounds: 7", "s.yaml", Tiny.Options).World);
    }

    [Theory]
    [InlineData("rounds: 0", "s.yaml:1: scenario.rounds is 0")]
    [InlineData("\nround: 3", "s.yaml:2: part 'scenario' has no option 'round'; the nearest is 'rounds'")]
    [InlineData("codec: zip", "s.yaml:1: scenario.codec: ")]
    [InlineData("world: 3", "s.yaml:1: scenario.world is 3, wanted a mapping")]
    [InlineData("world: { speed: 3 }", "has no option 'speed'")]
    [InlineData("world: { dropout: 1 }", "world.dropout is 1")]
    [InlineData("- 1", "a scenario is a mapping")]
    [InlineData("a: [", "s.yaml")]
    public void What_is_wrong_is_one_line(string text, string reason)
    {
        string line = Assert.Throws<CoppiceException>(() => Scenario.Parse(text, "s.yaml", Tiny.Options)).Message;
        Assert.Contains(reason, line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
    }
}
