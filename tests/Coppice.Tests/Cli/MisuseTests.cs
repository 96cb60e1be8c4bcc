namespace Coppice.Tests.Cli;

/// <summary>Command lines that cannot be: exit code 2, one line, no work.</summary>
[Collection(CommandLine.Collection)]
public sealed class MisuseTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    [Theory]
    [InlineData("inspect")]
    [InlineData("inspekt", "model")]
    [InlineData("inspect", "model", "--what")]
    [InlineData("run", "model")]
    [InlineData("run", "model", "--prompt", "x", "--max-tokens", "none")]
    [InlineData("run", "model", "--prompt", "x", "--temperature", "-1")]
    [InlineData("run", "model", "--prompt", "x", "--kv", "f8")]
    [InlineData("run", "model", "--prompt", "x", "--draft", "model", "--draft-tokens", "0")]
    [InlineData("run", "model", "--prompt", "x", "--threads", "0")]
    [InlineData("run", "model", "--prompt", "x", "--activations", "int4")]
    [InlineData("bench", "model", "--only", "q8_0,q9")]
    [InlineData("eval", "model")]
    [InlineData("eval", "model", "--data", "text.txt", "--documents", "page")]
    [InlineData("compress", "model", "-o", "out")]
    [InlineData("compress", "model", "--to", "int8", "--recipe", "r.yaml", "-o", "out")]
    [InlineData("compress", "model", "--to", "int4-gptq", "-o", "out")]
    [InlineData("compress", "model", "--to", "int8", "-o", "out", "--max-kl", "0.1")]
    [InlineData("compress", "model", "--to", "int8", "-o", "out", "--max-size", "big")]
    [InlineData("compress", "model", "--to", "int8", "-o", "model")]
    [InlineData("compress", "model", "--to", "int8", "-o", "out.onnx")]
    [InlineData("convert", "model", "-o", "out.onnx")]
    [InlineData("explain", "model", "--text", "a", "-o", "text.txt")]
    [InlineData("run", "model", "--prompt", "x", "--cheaper", "model")]
    [InlineData("run", "model", "--prompt", "x", "--target-ms", "1")]
    public void Misuse_is_one_line_and_exit_code_2(params string[] args)
    {
        CommandLine.Run([.. args.Select(arg => arg is "model" or "text.txt" ? tiny[arg] : arg == "out" ? tiny["out"] : arg)]).FailsInOneLine(2);
        Assert.Empty(tiny.Others);
    }

    [Theory]
    [InlineData("'inspekt' is no command of coppice; the nearest is 'inspect'", "inspekt", "model")]
    [InlineData("'sreve' is no command of coppice federate; the nearest is 'serve'", "federate", "sreve")]
    public void A_command_that_there_is_not_is_named(string wanted, params string[] args) => Assert.Contains(wanted, CommandLine.Run(args).FailsInOneLine(2), StringComparison.Ordinal);

    [Fact]
    public void A_value_that_is_wrong_is_told_with_what_was_wanted() =>
        Assert.Contains("--max-tokens is 'none', wanted a whole number of at least 1",
            CommandLine.Run("run", tiny.Model, "--prompt", "x", "--max-tokens", "none").FailsInOneLine(2), StringComparison.Ordinal);

    [Theory]
    [InlineData("0"), InlineData("-1"), InlineData("soon")]
    public void A_target_that_is_no_time_is_told_in_one_way(string value) => Assert.Contains($"--target-ms is '{value}', wanted a number above 0",
        CommandLine.Run("run", tiny.Model, "--prompt", "x", "--cheaper", tiny.Model, "--target-ms", value).FailsInOneLine(2), StringComparison.Ordinal);

    [Theory]
    [InlineData("--help")]
    [InlineData("inspect", "--help")]
    [InlineData("compress", "--help")]
    [InlineData("eval", "--help")]
    [InlineData("run", "--help")]
    [InlineData("train", "--help")]
    public void Help_goes_to_stdout_and_lists_the_options_that_all_commands_take(params string[] args)
    {
        Outcome help = CommandLine.Run(args);
        Assert.Equal((0, ""), (help.Code, help.Error));
        foreach (string option in new[] { "--json", "--threads", "--seed", "--verbose", "--quiet" })
            Assert.Contains(option, help.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void No_command_at_all_is_answered_with_help()
    {
        Outcome help = CommandLine.Run();
        Assert.Equal((0, ""), (help.Code, help.Error));
        Assert.Contains("compress", help.Out, StringComparison.Ordinal);
    }
}
