using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>Runs a parsed template once, within a budget.</summary>
sealed class TemplateInterpreter(TemplateBudget budget)
{
    static readonly Dictionary<string, object?> NoNames = [];

    enum Flow
    {
        Next,
        Break,
        Continue,
    }

    StringBuilder output = new();

    /// <summary>Runs the nodes of a template and returns what they wrote.</summary>
    public string Run(IReadOnlyList<Node> nodes, TemplateScope scope)
    {
        Run(nodes, scope, scope);
        return output.ToString();
    }

    // "global" is the template's own scope, which macros are run in.
    Flow Run(IReadOnlyList<Node> nodes, TemplateScope scope, TemplateScope global)
    {
        foreach (Node node in nodes)
        {
            budget.Enter();
            Flow flow = Flow.Next;
            switch (node)
            {
                case TextNode text:
                    budget.Append(output, text.Text);
                    break;
                case Output written:
                    budget.Append(output, TemplateValues.ToText(Evaluate(written.Value, scope)));
                    break;
                case If branches:
                    foreach ((Expression? condition, IReadOnlyList<Node> body) in branches.Branches)
                        if (condition is null || TemplateValues.IsTrue(Evaluate(condition, scope)))
                        {
                            flow = Run(body, scope, global);
                            break;
                        }
                    break;
                case For loop:
                    flow = Loop(loop, scope, global);
                    break;
                case Set set:
                    Assign(set, set.Value is { } value ? Evaluate(value, scope) : Captured(set.Body, new TemplateScope(scope), global), scope);
                    break;
                case Macro macro:
                    scope[macro.Name] = Function(macro, global);
                    break;
                case Block block:
                    flow = Run(block.Body, scope, global);
                    break;
                case FilterBlock filtered:
                    Filter filter = filtered.Filter;
                    budget.Append(output, TemplateValues.ToText(At(filter, () => TemplateFilters.Apply(filter.Name, Captured(filtered.Body, new TemplateScope(scope), global), Arguments(filter.Arguments, scope), Named(filter.Named, scope), budget))));
                    break;
                case Jump jump:
                    flow = jump.Breaks ? Flow.Break : Flow.Continue;
                    break;
            }
            if (flow != Flow.Next)
                return flow;
        }
        return Flow.Next;
    }

    string Captured(IReadOnlyList<Node> body, TemplateScope scope, TemplateScope global)
    {
        StringBuilder outer = output;
        output = new StringBuilder();
        try
        {
            Run(body, scope, global);
            return output.ToString();
        }
        finally
        {
            output = outer;
        }
    }

    Flow Loop(For loop, TemplateScope scope, TemplateScope global)
    {
        List<object?> items = [];
        foreach (object? item in At(loop, () => TemplateValues.Items(Evaluate(loop.Items, scope))))
        {
            budget.Step();
            if (loop.Condition is { } condition)
            {
                TemplateScope candidate = new(scope);
                Unpack(loop, loop.Targets, item, candidate);
                if (!TemplateValues.IsTrue(Evaluate(condition, candidate)))
                    continue;
            }
            items.Add(item);
        }
        if (items.Count == 0)
            return Run(loop.Otherwise, scope, global);
        for (int i = 0; i < items.Count; i++)
        {
            TemplateScope inner = new(scope);
            Unpack(loop, loop.Targets, items[i], inner);
            inner["loop"] = State(items, i);
            Flow flow = Run(loop.Body, inner, global);
            if (flow == Flow.Break)
                break;
        }
        return Flow.Next;
    }

    static TemplateMap State(List<object?> items, int index) => new()
    {
        ["index"] = index + 1L,
        ["index0"] = (long)index,
        ["revindex"] = (long)items.Count - index,
        ["revindex0"] = (long)items.Count - index - 1,
        ["first"] = index == 0,
        ["last"] = index == items.Count - 1,
        ["length"] = (long)items.Count,
        ["previtem"] = index > 0 ? items[index - 1] : new Undefined("previtem"),
        ["nextitem"] = index + 1 < items.Count ? items[index + 1] : new Undefined("nextitem"),
        ["cycle"] = (TemplateFunction)((arguments, _) => arguments.Count == 0 ? throw new CoppiceException("cycle wants values") : arguments[index % arguments.Count]),
    };

    void Assign(Set set, object? value, TemplateScope scope)
    {
        if (set.Attribute is { } attribute)
        {
            if (scope[set.Names[0]] is not TemplateMap { IsNamespace: true } target)
                throw Error(set, new CoppiceException($"'{set.Names[0]}' is no namespace, so that '{attribute}' cannot be set"));
            target[attribute] = value;
        }
        else
        {
            Unpack(set, set.Names, value, scope);
        }
    }

    static void Unpack(Node node, IReadOnlyList<string> names, object? value, TemplateScope scope)
    {
        if (names.Count == 1)
        {
            scope[names[0]] = value;
            return;
        }
        List<object?> values = value is List<object?> list ? list : throw Error(node, new CoppiceException($"{TemplateValues.TypeOf(value)} is not {names.Count} values"));
        if (values.Count != names.Count)
            throw Error(node, new CoppiceException($"{values.Count} values are not {names.Count}"));
        for (int i = 0; i < names.Count; i++)
            scope[names[i]] = values[i];
    }

    TemplateFunction Function(Macro macro, TemplateScope global) => (arguments, named) =>
    {
        TemplateScope scope = new(global);
        for (int i = 0; i < macro.Parameters.Count; i++)
        {
            (string name, Expression? absent) = macro.Parameters[i];
            scope[name] = i < arguments.Count ? arguments[i] : named.TryGetValue(name, out object? given) ? given : absent is null ? new Undefined(name) : Evaluate(absent, scope);
        }
        if (arguments.Count > macro.Parameters.Count)
            throw new CoppiceException($"'{macro.Name}' takes {macro.Parameters.Count} values and got {arguments.Count}");
        budget.Call();
        string text = Captured(macro.Body, scope, global);
        budget.Leave();
        return text;
    };

    object? Evaluate(Expression expression, TemplateScope scope)
    {
        budget.Enter();
        switch (expression)
        {
            case Literal literal:
                return literal.Value;
            case Variable variable:
                return scope[variable.Name];
            case ListLiteral list:
                return list.Items.Select(item => Evaluate(item, scope)).ToList();
            case MapLiteral map:
                return TemplateValues.ToMap(map.Items.Select(item => (TemplateValues.ToText(Evaluate(item.Key, scope)), Evaluate(item.Value, scope))));
            case Member member:
                object? owner = Evaluate(member.Value, scope), key = Evaluate(member.Key, scope);
                return At(member, () => TemplateMethods.Member(owner, key));
            case Slice slice:
                return At(slice, () => TemplateMethods.Slice(Evaluate(slice.Value, scope), Optional(slice.Start), Optional(slice.Stop), Optional(slice.Step)));
            case Call call:
                object? function = Evaluate(call.Function, scope);
                IReadOnlyList<object?> arguments = Arguments(call.Arguments, scope);
                IReadOnlyDictionary<string, object?> named = Named(call.Named, scope);
                return At(call, () => function is TemplateFunction callable ? Counted(callable(arguments, named)) : throw new CoppiceException($"{TemplateValues.TypeOf(function)} cannot be called"));
            case Filter filter:
                object? filtered = Evaluate(filter.Value, scope);
                return At(filter, () => TemplateFilters.Apply(filter.Name, filtered, Arguments(filter.Arguments, scope), Named(filter.Named, scope), budget));
            case Test test:
                object? tested = Evaluate(test.Value, scope);
                return At(test, () => TemplateFilters.Holds(test.Name, tested, Arguments(test.Arguments, scope)) != test.IsNegated);
            case Conditional conditional:
                return TemplateValues.IsTrue(Evaluate(conditional.Condition, scope)) ? Evaluate(conditional.Then, scope) : conditional.Otherwise is { } otherwise ? Evaluate(otherwise, scope) : new Undefined("else");
            case Unary { Operator: "not" } not:
                return !TemplateValues.IsTrue(Evaluate(not.Operand, scope));
            case Unary sign:
                object? number = Evaluate(sign.Operand, scope);
                return At(sign, () => TemplateOperators.Apply(sign.Operator, 0L, number, budget));
            case Binary { Operator: "and" } and:
                object? left = Evaluate(and.Left, scope);
                return TemplateValues.IsTrue(left) ? Evaluate(and.Right, scope) : left;
            case Binary { Operator: "or" } or:
                object? first = Evaluate(or.Left, scope);
                return TemplateValues.IsTrue(first) ? first : Evaluate(or.Right, scope);
            case Binary binary:
                (object? a, object? b) = (Evaluate(binary.Left, scope), Evaluate(binary.Right, scope));
                return At(binary, () => TemplateOperators.Apply(binary.Operator, a, b, budget));
            default:
                throw new InvalidOperationException($"{expression.GetType().Name} is no expression that is evaluated");
        }

        object? Optional(Expression? part) => part is null ? null : Evaluate(part, scope);
    }

    List<object?> Arguments(IReadOnlyList<Expression> arguments, TemplateScope scope) => [.. arguments.Select(argument => Evaluate(argument, scope))];

    Dictionary<string, object?> Named(IReadOnlyList<(string Name, Expression Value)> arguments, TemplateScope scope)
    {
        if (arguments.Count == 0)
            return NoNames;
        Dictionary<string, object?> named = new(StringComparer.Ordinal);
        foreach ((string name, Expression value) in arguments)
            named[name] = Evaluate(value, scope);
        return named;
    }

    object? Counted(object? value)
    {
        budget.Step(value switch { string text => budget.Text(text).Length / 64, List<object?> list => list.Count, _ => 0 });
        return value;
    }

    static T At<T>(Node node, Func<T> evaluate)
    {
        try
        {
            return evaluate();
        }
        catch (CoppiceException error) when (error is not TemplateFailure)
        {
            throw Error(node, error);
        }
    }

    static TemplateFailure Error(Node node, CoppiceException error) => new($"The chat template failed at line {node.Line}: {error.Message}", error);
}
