using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>Parses a template's statements. Recursion is bounded.</summary>
sealed class TemplateParser
{
    readonly ExpressionParser expressions;
    int depth;

    TemplateParser(List<TemplateToken> tokens) => expressions = new ExpressionParser(tokens);

    /// <summary>A whole template.</summary>
    /// <exception cref="CoppiceException">It is no Jinja that we know; the message names line and reason.</exception>
    public static IReadOnlyList<Node> Parse(string source)
    {
        TemplateParser parser = new(new TemplateLexer(source).Read());
        IReadOnlyList<Node> body = parser.Body();
        return parser.expressions.Next.Kind == TemplateTokenKind.End ? body : throw parser.expressions.Error($"'{parser.expressions.Next.Value}' ends nothing");
    }

    // Nodes up to a statement that one of these names begins; its opening mark is read.
    List<Node> Body(params ReadOnlySpan<string> ends)
    {
        if (++depth > ExpressionParser.MaxDepth)
            throw expressions.Error($"statements nest more than {ExpressionParser.MaxDepth} deep");
        List<Node> body = [];
        while (expressions.Next.Kind != TemplateTokenKind.End)
        {
            TemplateToken token = expressions.Take();
            if (token.Kind == TemplateTokenKind.Text)
            {
                body.Add(new TextNode(token.Value, token.Line));
            }
            else if (token.Kind == TemplateTokenKind.OpenOutput)
            {
                body.Add(new Output(expressions.Expression(), token.Line));
                expressions.Expect(TemplateTokenKind.CloseOutput);
            }
            else
            {
                if (ends.Contains(expressions.Next.Value))
                {
                    depth--;
                    return body;
                }
                body.Add(Statement(expressions.Name(), token.Line));
            }
        }
        if (ends.Length > 0)
            throw expressions.Error($"'{ends[^1]}' is missing");
        depth--;
        return body;
    }

    Node Statement(string name, int line)
    {
        switch (name)
        {
            case "if":
                return IfStatement(line);
            case "for":
                return ForStatement(line);
            case "set":
                return SetStatement(line);
            case "macro":
                return MacroStatement(line);
            case "generation":
                Close();
                List<Node> generated = Body("endgeneration");
                End("endgeneration");
                return new Block(generated, line);
            case "filter":
                Expression filtered = expressions.Filters(new Literal("", line));
                Close();
                List<Node> body = Body("endfilter");
                End("endfilter");
                return new FilterBlock(filtered as Filter ?? throw expressions.Error("'filter' names no filter"), body, line);
            case "break" or "continue":
                Close();
                return new Jump(name == "break", line);
            default:
                throw expressions.Error($"the statement '{name}' is not known");
        }
    }

    If IfStatement(int line)
    {
        List<(Expression?, IReadOnlyList<Node>)> branches = [];
        Expression? condition = expressions.Expression();
        while (true)
        {
            Close();
            branches.Add((condition, condition is null ? Body("endif") : Body("elif", "else", "endif")));
            switch (expressions.Name())
            {
                case "endif":
                    Close();
                    return new If(branches, line);
                case "elif":
                    condition = expressions.Expression();
                    break;
                default:
                    condition = null;
                    break;
            }
        }
    }

    For ForStatement(int line)
    {
        List<string> targets = Targets();
        if (expressions.Name() is string word and not "in")
            throw expressions.Error($"'for' has '{word}' in place of 'in'");
        Expression items = expressions.WithoutCondition();
        Expression? condition = expressions.TakeName("if") ? expressions.Expression() : null;
        if (expressions.TakeName("recursive"))
            throw expressions.Error("recursive loops are not supported");
        Close();
        List<Node> body = Body("else", "endfor"), otherwise = [];
        if (expressions.TakeName("else"))
        {
            Close();
            otherwise = Body("endfor");
        }
        End("endfor");
        return new For(targets, items, condition, body, otherwise, line);
    }

    Set SetStatement(int line)
    {
        List<string> names = Targets();
        string? attribute = expressions.TakeSymbol(".") ? expressions.Name() : null;
        if (expressions.TakeSymbol("="))
        {
            Expression value = expressions.List();
            Close();
            return new Set(names, attribute, value, [], line);
        }
        Close();
        List<Node> body = Body("endset");
        End("endset");
        return new Set(names, attribute, null, body, line);
    }

    Macro MacroStatement(int line)
    {
        string name = expressions.Name();
        List<(string, Expression?)> parameters = [];
        expressions.Expect("(");
        while (!expressions.TakeSymbol(")"))
        {
            if (parameters.Count > 0)
                expressions.Expect(",");
            string parameter = expressions.Name();
            parameters.Add((parameter, expressions.TakeSymbol("=") ? expressions.Expression() : null));
        }
        Close();
        List<Node> body = Body("endmacro");
        End("endmacro");
        return new Macro(name, parameters, body, line);
    }

    List<string> Targets()
    {
        bool isEnclosed = expressions.TakeSymbol("(");
        List<string> names = [expressions.Name()];
        while (expressions.TakeSymbol(","))
            names.Add(expressions.Name());
        if (isEnclosed)
            expressions.Expect(")");
        return names;
    }

    void End(string name)
    {
        if (!expressions.TakeName(name))
            throw expressions.Error($"'{name}' is missing");
        Close();
    }

    void Close() => expressions.Expect(TemplateTokenKind.CloseStatement);
}
