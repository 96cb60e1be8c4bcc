using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>Options whose values are checked while the command line is read, so that a wrong one is misuse and costs no work.</summary>
static class Options
{
    public static Option<int> Integer(string name, string description, int value, int least = 0) => new(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => value,
        CustomParser = result => ParseInteger(name, least, int.MaxValue, result) ?? value,
    };

    /// <summary>A whole number that may be absent.</summary>
    public static Option<int?> OptionalInteger(string name, string description, int least = 1, int most = int.MaxValue) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result => ParseInteger(name, least, most, result),
    };

    public static Option<double> Number(string name, string description, double value, double least = 0) => new(name)
    {
        Description = description,
        HelpName = "X",
        DefaultValueFactory = _ => value,
        CustomParser = result => ParseNumber(name, least, result) ?? value,
    };

    /// <summary>A part of a whole: more than 0, at most 1.</summary>
    public static Option<double> Share(string name, string description, double value) => new(name)
    {
        Description = description,
        HelpName = "X",
        DefaultValueFactory = _ => value,
        CustomParser = result => ParseNumber(name, 0, result) is not { } share ? value
            : share is > 0 and <= 1 ? share
            : Refuse<double>(result, $"{name} is '{Word(result)}', wanted more than 0 and at most 1"),
    };

    /// <summary>A number that may be absent.</summary>
    public static Option<double?> OptionalNumber(string name, string description, double least = 0) => new(name)
    {
        Description = description,
        HelpName = "X",
        CustomParser = result => ParseNumber(name, least, result),
    };

    /// <summary>A number above 0 that may be absent.</summary>
    public static Option<double?> OptionalPositive(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "X",
        CustomParser = result => ParseNumber(name, double.Epsilon, "above 0", result),
    };

    /// <summary>One word of several.</summary>
    public static Option<string?> Choice(string name, string description, params string[] words) => new(name)
    {
        Description = description,
        HelpName = string.Join('|', words),
        CustomParser = result => words.Contains(Word(result)) ? Word(result) : Refuse<string>(result, $"{name} is '{Word(result)}', wanted {string.Join(" or ", words)}"),
    };

    /// <summary>A text of any kind, called <paramref name="help"/> in the help.</summary>
    public static Option<string?> Text(string name, string help, string description, params string[] aliases) =>
        new(name, aliases) { Description = description, HelpName = help };

    /// <summary>A part by its name and parameters; what <paramref name="find"/> refuses is misuse.</summary>
    public static Option<T?> Named<T>(string name, string help, string description, Func<string, T> find) where T : class => new(name)
    {
        Description = description,
        HelpName = help,
        CustomParser = result =>
        {
            try
            {
                return find(Word(result));
            }
            catch (CoppiceException error)
            {
                return Refuse<T>(result, error.Message);
            }
        },
    };

    static int? ParseInteger(string name, int least, int most, ArgumentResult result) =>
        int.TryParse(Word(result), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most
            ? number
            : Refuse<int?>(result, $"{name} is '{Word(result)}', wanted a whole number of {(most == int.MaxValue ? $"at least {least}" : $"{least} to {most}")}");

    static double? ParseNumber(string name, double least, ArgumentResult result) => ParseNumber(name, least, string.Create(CultureInfo.InvariantCulture, $"of at least {least}"), result);

    static double? ParseNumber(string name, double least, string wanted, ArgumentResult result) =>
        double.TryParse(Word(result), NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number) && number >= least
            ? number
            : Refuse<double?>(result, $"{name} is '{Word(result)}', wanted a number {wanted}");

    static string Word(ArgumentResult result) => result.Tokens[0].Value;

    static T? Refuse<T>(ArgumentResult result, string message)
    {
        result.AddError(message);
        return default;
    }
}
