using Coppice.Federation;
using Coppice.Federation.Voting;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Training.Sparse;

namespace Coppice.Tests.Federation.Voting;

public class MaskVotesTests
{
    // A matrix of 2 x 4 of which five numbers are kept: places 0, 1, 3, 6 and 7.
    static Tensor Mask() => Tensor.From([2, 4], [1, 1, 0, 1, 0, 0, 1, 1]);

    static ParameterSet Masks() => new([("w", Mask())]);

    static readonly LocalMasks Task = new(["w"], [3], [2]);

    static SafeTensors Sent(params TensorSource[] tensors) => SafeTensors.Read("votes of 'a'", SafeTensorsWriter.ToBytes(tensors));

    [Fact]
    public void A_client_votes_for_its_smallest_numbers_to_go_and_its_steepest_to_come()
    {
        ParameterSet trained = new([("w", Tensor.From([2, 4], [0.5f, -0.1f, 0, 3, 0, 0, -2, 0.2f]))]), gradients = new([("w", Tensor.From([2, 4], [9, 9, 0.1f, 9, -0.7f, 0.3f, 9, 9]))]);
        MatrixVote vote = Assert.Single(MaskVotes.Of(Task, Masks(), trained, gradients));
        Assert.Equal([1, 7], vote.Drop);
        Assert.Equal([4, 5], vote.Grow);
    }

    [Fact]
    public void The_mask_is_what_most_would_have_of_equal_ones_the_largest_and_the_first()
    {
        Tensor mask = Mask();
        // Against 1: a and b, 5 windows; against 7: a, 3; against 0 and 3: b and c, 2 and 1. For 5: a, 3; for 2: b and c, 3; for 4: b.
        (double, MatrixVote)[] votes = [(3, new([1, 7], [4, 5])), (2, new([0, 1], [2, 4])), (1, new([3, 0], [2, 5]))];
        // To come: 4 has 5 windows, 5 has 4, 2 has 3. To go: 1 has 5, then 0 and 7 have 3 each, and 7 is smaller.
        MaskVotes.Count(votes, [1, 9, 0, 1, 0, 0, 1, -0.5f], 3, 2, mask);
        Assert.Equal([1f, 0, 0, 1, 1, 1, 1, 0], mask.Data.ToArray());
        // Nobody votes for anything: the largest stay, the first come.
        mask = Mask();
        MaskVotes.Count([(1, new([], []))], [1, 9, 0, 1, 0, 0, -4, 1], 3, 1, mask);
        Assert.Equal([1f, 1, 1, 0, 0, 0, 1, 0], mask.Data.ToArray());
    }

    [Fact]
    public void Votes_come_back_from_their_bytes_and_other_counts_are_refused()
    {
        TensorSource sent = MaskVotes.Write(Task, Masks(), [new([1, 7], [4, 5])]);
        Ballot read = MaskVotes.Read(Sent(sent), Task, Masks());
        Assert.Equal([1, 7], read.Votes[0].Drop);
        Assert.Equal([4, 5], read.Votes[0].Grow);
        Assert.Equal(sent.ByteCount, read.Bytes);
        foreach (LocalMasks other in new[] { Task with { Keep = [2] }, Task with { Grow = [3] }, Task with { Keep = [4] } })
            Assert.StartsWith("votes of 'a': tensor 'votes': ", Assert.Throws<CoppiceException>(() => MaskVotes.Read(Sent(sent), other, Masks())).Message, StringComparison.Ordinal);
        Assert.Contains("'votes'", Assert.Throws<CoppiceException>(() => MaskVotes.Read(Sent(TensorSource.Floats("w", DType.F32, Mask())), Task, Masks())).Message, StringComparison.Ordinal);
        // Gaps that lead past the last of the other three numbers.
        TensorSource far = MaskVotes.Write(Task, new ParameterSet([("w", Tensor.From([2, 4], [1, 1, 0, 0, 0, 0, 0, 0]))]), [new([0, 1], [2, 7])]);
        Assert.Contains("a vote for number 5 of 3", Assert.Throws<CoppiceException>(() => MaskVotes.Read(Sent(far), Task, Masks())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Kept_numbers_travel_on_one_axis_and_come_back_to_their_places()
    {
        ParameterSet numbers = new([("w", Tensor.From([2, 4], [1, 2, 0, 4, 0, 0, 7, 8])), ("v", Tensor.From([2], [5, 6]))]), packed = MaskedNumbers.Pack(numbers, Masks());
        Assert.Equal([1f, 2, 4, 7, 8], packed.Tensors["w"].Data.ToArray());
        Assert.Equal(1, packed.Tensors["w"].Shape.Rank);
        Assert.Same(numbers.Tensors["v"], packed.Tensors["v"]);
        Assert.Equal(numbers.Tensors["w"].Data.ToArray(), MaskedNumbers.Unpack(packed, Masks()).Tensors["w"].Data.ToArray());
    }

    [Fact]
    public void Rigl_prunes_after_the_first_round_and_exchanges_until_its_end()
    {
        RigL rigl = new() { Sparsity = 0.5, Every = 4, Fraction = 0.5, End = 0.75 };
        ParameterSet whole = new([("w", Tensor.From([10, 10], [.. Enumerable.Repeat(1f, 100)]))]), half = new([("w", Tensor.From([10, 10], [.. Enumerable.Range(0, 100).Select(i => i % 2f)]))]);
        // 10 rounds of 2 steps: masks change no more from step 15 on. At step 4, 0.25 (1 + cos(4 pi / 15)) = 41.7% of 50.
        Assert.Equal((50, 0), Counts(1, whole));
        Assert.Equal((30, 20), Counts(2, half));
        Assert.False(MaskSchedule.Ask(rigl, 3, 10, 2, half).Votes);
        Assert.True(Counts(6, half).Grow is > 0 and < 10);
        Assert.False(MaskSchedule.Ask(rigl, 8, 10, 2, half).Votes);

        (int Keep, int Grow) Counts(int round, ParameterSet masks) => MaskSchedule.Ask(rigl, round, 10, 2, masks) is { Votes: true } ask ? (ask.Keep[0], ask.Grow[0]) : default;
    }
}
