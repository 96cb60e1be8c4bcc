using Coppice.Federation;
using Coppice.Federation.Strategies;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Strategies;

/// <summary>Two clients and two numbers, worked out by hand.</summary>
public class StrategyTests
{
    // From [1, 2]: deltas [1, -2] of three windows and [-3, 2] of one, so that D = [0, -1].
    static readonly WeightedUpdate[] Deltas = [Update("a", 3, 1, -2), Update("b", 1, -3, 2)];

    [Theory]
    [InlineData("fedavg")]
    [InlineData("fedprox:0.1")]
    public void The_average_is_weighted_by_samples(string name) => Assert.Equal([1f, 1f], Next(StrategyRegistry.Find(name), Deltas, null));

    [Fact]
    public void Weights_and_deltas_give_the_same_model()
    {
        WeightedUpdate[] weights = [Update("a", 3, 2, 0), Update("b", 1, -2, 4)];
        foreach (string name in new[] { "fedavg", "fedavgm", "fedadam", "fedyogi", "fedadagrad", "scaffold" })
        {
            IStrategy strategy = StrategyRegistry.Find(name);
            Assert.Equal(Next(strategy, Deltas, strategy.NewState(Model())), Next(strategy, weights, strategy.NewState(Model()), UpdateKind.Weights));
        }
    }

    [Fact]
    public void Momentum_goes_on_from_round_to_round()
    {
        IStrategy strategy = new FedAvgM(beta: 0.5, rate: 2);
        ParameterSet state = strategy.NewState(Model())!;
        // v = D = [0, -1], x = [1, 2] + 2 v; then v = 0.5 v + D = [0, -1.5].
        Assert.Equal([1f, 0f], Next(strategy, Deltas, state));
        Assert.Equal([1f, -1f], Next(strategy, Deltas, state));
    }

    [Theory]
    // With b1 = 0.5, b2 = 0.5, tau = 0.5, v starts at 0.25; D = [0, -1], m = [0, -0.5].
    // Adam: v = 0.125 + 0.5 = 0.625. Yogi: v = 0.25 + 0.5 = 0.75. Adagrad: v = 1.25. x = 2 - 0.1 * 0.5 / (sqrt v + 0.5).
    [InlineData(ServerOptimizer.Adam, 0.625)]
    [InlineData(ServerOptimizer.Yogi, 0.75)]
    [InlineData(ServerOptimizer.Adagrad, 1.25)]
    public void Adaptive_servers_follow_their_formulas(ServerOptimizer kind, double v)
    {
        IStrategy strategy = new FedOpt(kind, rate: 0.1, beta1: 0.5, beta2: 0.5, tau: 0.5);
        float[] next = Next(strategy, Deltas, strategy.NewState(Model()));
        Assert.Equal(1, next[0], 1e-6);
        Assert.Equal(2 - 0.1 * 0.5 / (Math.Sqrt(v) + 0.5), next[1], 1e-6);
    }

    [Fact]
    public void Yogi_lets_the_second_moment_fall_by_the_squared_delta()
    {
        IStrategy strategy = new FedOpt(ServerOptimizer.Yogi, rate: 1, beta1: 0, beta2: 0.5, tau: 2);
        ParameterSet state = strategy.NewState(Model())!;
        // v = 4 is above D^2 = 1: 4 - 0.5 = 3.5, where Adam would have 2.5.
        float[] next = Next(strategy, Deltas, state);
        Assert.Equal(3.5f, state.Tensors["second.w"].Data[1]);
        Assert.Equal(2 - 1 / (Math.Sqrt(3.5) + 2), next[1], 1e-6);
    }

    [Fact]
    public void Scaffold_moves_the_model_by_the_plain_mean_and_its_control_by_the_mean_gradient()
    {
        IStrategy strategy = new Scaffold();
        ParameterSet state = strategy.NewState(Model())!;
        // Plain mean D = [-1, 0]; 2 of 4 clients, rates 0.5 in all: c = 0 + 2/4 (-0 - D / 0.5) = [1, 0].
        Assert.Equal([0f, 2f], Next(strategy, Deltas, state));
        Assert.Equal([1f, 0f], state.Tensors["control.w"].Data.ToArray());
        // Again: c = [1, 0] + 1/2 (-[1, 0] + [2, 0]) = [1.5, 0].
        Next(strategy, Deltas, state);
        Assert.Equal([1.5f, 0f], state.Tensors["control.w"].Data.ToArray());
    }

    [Fact]
    public void A_stale_delta_counts_less_in_the_buffer()
    {
        // (1 [1, -2] + 1 / sqrt(4) [-3, 2]) / 2 = [-0.25, -0.5], times a rate of 2.
        WeightedUpdate[] buffer = [Update("a", 3, 1, -2), Update("b", 1, -3, 2) with { Staleness = 3 }];
        Assert.Equal([0.5f, 1f], Next(new FedBuff(2, rate: 2), buffer, null));
    }

    [Fact]
    public void A_vote_keeps_what_half_of_the_windows_would_keep()
    {
        WeightedUpdate[] votes = [Update("a", 3, 1, 0), Update("b", 1, 0, 1)];
        Assert.Equal([1f, 0f], Next(new MaskVote(0.5), votes, null, UpdateKind.Mask));
        Assert.Equal([1f, 2f], Next(new MaskVote(0.25), votes, null, UpdateKind.Mask));
    }

    [Theory]
    [InlineData("fedavg", "fedavg")]
    [InlineData("fedprox", "fedprox:0.01")]
    [InlineData("fedavgm::0.5", "fedavgm:0.9:0.5")]
    [InlineData("fedadam:0.01", "fedadam:0.01:0.9:0.99:0.001")]
    [InlineData("fedyogi", "fedyogi:0.001:0.9:0.99:0.001")]
    [InlineData("fedadagrad", "fedadagrad:0.001:0.9:0.99:0.001")]
    [InlineData("scaffold", "scaffold:1")]
    [InlineData("fedbuff:5", "fedbuff:5:1")]
    [InlineData("maskvote", "maskvote:0.5")]
    public void A_name_is_read_and_written_with_all_its_parameters(string text, string name)
    {
        Assert.Equal(name, StrategyRegistry.Find(text).Name);
        Assert.Equal(name, StrategyRegistry.Find(name).Name);
    }

    [Theory]
    [InlineData("fedsgd", "'fedsgd' is none of fedavg")]
    [InlineData("fedprox:-1", "wanted a number from 0")]
    [InlineData("fedavgm:1", "wanted a number from 0 to 0.999999")]
    public void A_wrong_name_is_refused(string text, string reason) => Assert.Contains(reason, Assert.Throws<CoppiceException>(() => StrategyRegistry.Find(text)).Message, StringComparison.Ordinal);

    static float[] Next(IStrategy strategy, WeightedUpdate[] updates, ParameterSet? state, UpdateKind kind = UpdateKind.Delta) =>
        strategy.Aggregate(Model(), kind, updates, new AggregationContext(4, 2, 0.5, state)).Tensors["w"].Data.ToArray();

    static ParameterSet Model() => new([("w", Tensor.From([2], [1, 2]))]);

    static WeightedUpdate Update(string client, int samples, params float[] values) => new(client, samples, new ParameterSet([("w", Tensor.From([2], values))]));
}
