using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>Parses expressions by precedence: <c>if else</c>, <c>or</c>, <c>and</c>, <c>not</c>, comparisons and tests, <c>~</c> and sums, products, powers, filters, signs, and what follows a value.</summary>
sealed class ExpressionParser(List<TemplateToken> tokens)
{
    /// <summary>How deep statements and expressions may nest.</summary>
    public const int MaxDepth = 100;

    int at, depth;

    public TemplateToken Next => tokens[at];

    public TemplateToken Take() => tokens[at].Kind == TemplateTokenKind.End ? throw Error("it ends too early") : tokens[at++];

    public string Name() => Next.Kind == TemplateTokenKind.Name ? Take().Value : throw Error($"{Shown()} stands where a name is wanted");

    public bool TakeName(string name) => TakeIf(TemplateTokenKind.Name, name);

    public bool TakeSymbol(string symbol) => TakeIf(TemplateTokenKind.Symbol, symbol);

    public void Expect(string symbol)
    {
        if (!TakeSymbol(symbol))
            throw Error($"{Shown()} stands where '{symbol}' is wanted");
    }

    public void Expect(TemplateTokenKind kind)
    {
        if (Next.Kind != kind)
            throw Error($"{Shown()} stands where the end of the mark is wanted");
        at++;
    }

    public CoppiceException Error(string message) => new($"The chat template is damaged at line {Next.Line}: {message}");

    /// <summary>One expression, or several between commas as a list.</summary>
    public Expression List()
    {
        int line = Next.Line;
        Expression first = Expression();
        if (!(Next is { Kind: TemplateTokenKind.Symbol, Value: "," }))
            return first;
        List<Expression> items = [first];
        while (TakeSymbol(","))
            items.Add(Expression());
        return new ListLiteral(items, line);
    }

    /// <summary>An expression.</summary>
    public Expression Expression()
    {
        if (++depth > MaxDepth)
            throw Error($"expressions nest more than {MaxDepth} deep");
        Expression value = WithoutCondition();
        while (TakeName("if"))
        {
            int line = Next.Line;
            Expression condition = WithoutCondition();
            value = new Conditional(condition, value, TakeName("else") ? Expression() : null, line);
        }
        depth--;
        return value;
    }

    /// <summary>An expression that no <c>if</c> belongs to.</summary>
    public Expression WithoutCondition() => Left(And, "or");

    Expression And() => Left(Not, "and");

    Expression Not()
    {
        int line = Next.Line;
        if (!TakeName("not"))
            return Comparison();
        if (++depth > MaxDepth)
            throw Error($"expressions nest more than {MaxDepth} deep");
        Expression operand = Not();
        depth--;
        return new Unary("not", operand, line);
    }

    Expression Left(Func<Expression> operand, string name)
    {
        Expression left = operand();
        while (Next is { Kind: TemplateTokenKind.Name } token && token.Value == name)
        {
            at++;
            left = new Binary(name, left, operand(), token.Line);
        }
        return left;
    }

    Expression LeftSymbols(Func<Expression> operand, params ReadOnlySpan<string> symbols)
    {
        Expression left = operand();
        while (Next is { Kind: TemplateTokenKind.Symbol } token && symbols.Contains(token.Value))
        {
            at++;
            left = new Binary(token.Value, left, operand(), token.Line);
        }
        return left;
    }

    Expression Comparison()
    {
        Expression left = Sum();
        while (true)
        {
            int line = Next.Line;
            if (Next is { Kind: TemplateTokenKind.Symbol, Value: "==" or "!=" or "<" or ">" or "<=" or ">=" } symbol)
            {
                at++;
                left = new Binary(symbol.Value, left, Sum(), line);
            }
            else if (TakeName("in"))
                left = new Binary("in", left, Sum(), line);
            else if (Next is { Kind: TemplateTokenKind.Name, Value: "not" } && tokens[at + 1] is { Kind: TemplateTokenKind.Name, Value: "in" })
            {
                at += 2;
                left = new Unary("not", new Binary("in", left, Sum(), line), line);
            }
            else
                return left;
        }
    }

    Expression Sum() => LeftSymbols(Concatenation, "+", "-");

    Expression Concatenation() => LeftSymbols(Product, "~");

    Expression Product() => LeftSymbols(Power, "*", "/", "//", "%");

    Expression Power() => LeftSymbols(() => Filters(Sign()), "**");

    // A sign belongs to the value; filters are applied to both.
    Expression Sign()
    {
        TemplateToken token = Next;
        if (token is not { Kind: TemplateTokenKind.Symbol, Value: "-" or "+" })
            return Postfix(Primary());
        at++;
        if (++depth > MaxDepth)
            throw Error($"expressions nest more than {MaxDepth} deep");
        Expression operand = Sign();
        depth--;
        return new Unary(token.Value, operand, token.Line);
    }

    /// <summary>Filters and tests that follow a value.</summary>
    public Expression Filters(Expression value)
    {
        // "filter name" has its first filter without a bar
        if (value is Literal { Value: "" } && Next.Kind == TemplateTokenKind.Name)
            value = Filtered(value);
        while (true)
        {
            int line = Next.Line;
            if (TakeSymbol("|"))
                value = Postfix(Filtered(value));
            else if (TakeName("is"))
            {
                bool isNegated = TakeName("not");
                string name = Name();
                List<Expression> arguments = [];
                if (Next is { Kind: TemplateTokenKind.Symbol, Value: "(" })
                    arguments = Arguments().Positional;
                else if (Next.Kind is TemplateTokenKind.String or TemplateTokenKind.Integer || Next.Kind == TemplateTokenKind.Name && Next.Value is not ("and" or "or" or "not" or "if" or "else" or "is" or "in"))
                    arguments = [Postfix(Primary())];
                value = new Test(value, name, arguments, isNegated, line);
            }
            else
                return value;
        }
    }

    Filter Filtered(Expression value)
    {
        int line = Next.Line;
        string name = Name();
        (List<Expression> arguments, List<(string, Expression)> named) = Next is { Kind: TemplateTokenKind.Symbol, Value: "(" } ? Arguments() : ([], []);
        return new Filter(value, name, arguments, named, line);
    }

    (List<Expression> Positional, List<(string, Expression)> Named) Arguments()
    {
        Expect("(");
        List<Expression> positional = [];
        List<(string, Expression)> named = [];
        while (!TakeSymbol(")"))
        {
            if (positional.Count + named.Count > 0)
            {
                Expect(",");
                if (TakeSymbol(")"))
                    break;
            }
            if (Next.Kind == TemplateTokenKind.Name && tokens[at + 1] is { Kind: TemplateTokenKind.Symbol, Value: "=" })
            {
                string name = Name();
                at++;
                named.Add((name, Expression()));
            }
            else if (named.Count > 0)
                throw Error("an argument without a name follows one with a name");
            else
                positional.Add(Expression());
        }
        return (positional, named);
    }

    Expression Postfix(Expression value)
    {
        while (Next.Kind == TemplateTokenKind.Symbol)
        {
            int line = Next.Line;
            if (TakeSymbol("."))
                value = new Member(value, Next.Kind == TemplateTokenKind.Integer ? new Literal(long.Parse(Take().Value, CultureInfo.InvariantCulture), line) : new Literal(Name(), line), line);
            else if (TakeSymbol("["))
                value = Subscript(value, line);
            else if (Next.Value == "(")
            {
                (List<Expression> arguments, List<(string, Expression)> named) = Arguments();
                value = new Call(value, arguments, named, line);
            }
            else
                return value;
        }
        return value;
    }

    Expression Subscript(Expression value, int line)
    {
        Expression?[] bounds = [null, null, null];
        int bound = 0;
        bool isSlice = false;
        while (!TakeSymbol("]"))
            if (TakeSymbol(":"))
            {
                isSlice = true;
                if (++bound > 2)
                    throw Error("a slice has more than three parts");
            }
            else
                bounds[bound] = bounds[bound] is null ? Expression() : throw Error($"{Shown()} stands where ']' is wanted");
        return isSlice ? new Slice(value, bounds[0], bounds[1], bounds[2], line) : new Member(value, bounds[0] ?? throw Error("an index is missing"), line);
    }

    Expression Primary()
    {
        TemplateToken token = Take();
        switch (token.Kind)
        {
            case TemplateTokenKind.String:
                string text = token.Value;
                // texts that follow one another are one
                while (Next.Kind == TemplateTokenKind.String)
                    text += Take().Value;
                return new Literal(text, token.Line);
            case TemplateTokenKind.Integer:
                return new Literal(long.TryParse(token.Value, CultureInfo.InvariantCulture, out long number) ? number : throw Error($"{token.Value} is too large"), token.Line);
            case TemplateTokenKind.Float:
                return new Literal(double.Parse(token.Value, CultureInfo.InvariantCulture), token.Line);
            case TemplateTokenKind.Name:
                return token.Value switch
                {
                    "true" or "True" => new Literal(true, token.Line),
                    "false" or "False" => new Literal(false, token.Line),
                    "none" or "None" => new Literal(null, token.Line),
                    _ => new Variable(token.Value, token.Line),
                };
            case TemplateTokenKind.Symbol when token.Value == "(":
                return Enclosed(")", token.Line);
            case TemplateTokenKind.Symbol when token.Value == "[":
                return Enclosed("]", token.Line);
            case TemplateTokenKind.Symbol when token.Value == "{":
                return Map(token.Line);
            default:
                at--;
                throw Error($"{Shown()} stands where a value is wanted");
        }
    }

    // (value), (a, b), () and [a, b]
    Expression Enclosed(string close, int line)
    {
        List<Expression> items = [];
        bool hasComma = close == "]";
        while (!TakeSymbol(close))
        {
            items.Add(Expression());
            if (TakeSymbol(","))
                hasComma = true;
            else if (Next is not { Kind: TemplateTokenKind.Symbol } end || end.Value != close)
                throw Error($"{Shown()} stands where '{close}' is wanted");
        }
        return !hasComma && items.Count == 1 ? items[0] : new ListLiteral(items, line);
    }

    MapLiteral Map(int line)
    {
        List<(Expression, Expression)> items = [];
        while (!TakeSymbol("}"))
        {
            if (items.Count > 0)
            {
                Expect(",");
                if (TakeSymbol("}"))
                    break;
            }
            Expression key = Expression();
            Expect(":");
            items.Add((key, Expression()));
        }
        return new MapLiteral(items, line);
    }

    bool TakeIf(TemplateTokenKind kind, string value)
    {
        if (Next.Kind != kind || Next.Value != value)
            return false;
        at++;
        return true;
    }

    string Shown() => Next.Kind switch { TemplateTokenKind.End => "the end", TemplateTokenKind.CloseOutput or TemplateTokenKind.CloseStatement => "the end of the mark", _ => $"'{Next.Value}'" };
}
