namespace Coppice.Text.ChatTemplates;

/// <summary>A part of a parsed template.</summary>
abstract record Node(int Line);

/// <summary>What has a value.</summary>
abstract record Expression(int Line) : Node(Line);

sealed record Literal(object? Value, int Line) : Expression(Line);

sealed record Variable(string Name, int Line) : Expression(Line);

sealed record ListLiteral(IReadOnlyList<Expression> Items, int Line) : Expression(Line);

sealed record MapLiteral(IReadOnlyList<(Expression Key, Expression Value)> Items, int Line) : Expression(Line);

/// <summary><c>value.name</c> or <c>value[key]</c>.</summary>
sealed record Member(Expression Value, Expression Key, int Line) : Expression(Line);

/// <summary><c>value[start:stop:step]</c>.</summary>
sealed record Slice(Expression Value, Expression? Start, Expression? Stop, Expression? Step, int Line) : Expression(Line);

/// <summary>A call of a function, a macro or a method.</summary>
sealed record Call(Expression Function, IReadOnlyList<Expression> Arguments, IReadOnlyList<(string Name, Expression Value)> Named, int Line) : Expression(Line);

/// <summary><c>value | filter(...)</c>.</summary>
sealed record Filter(Expression Value, string Name, IReadOnlyList<Expression> Arguments, IReadOnlyList<(string Name, Expression Value)> Named, int Line) : Expression(Line);

/// <summary><c>value is [not] test(...)</c>.</summary>
sealed record Test(Expression Value, string Name, IReadOnlyList<Expression> Arguments, bool IsNegated, int Line) : Expression(Line);

sealed record Unary(string Operator, Expression Operand, int Line) : Expression(Line);

sealed record Binary(string Operator, Expression Left, Expression Right, int Line) : Expression(Line);

/// <summary><c>then if condition else otherwise</c>.</summary>
sealed record Conditional(Expression Condition, Expression Then, Expression? Otherwise, int Line) : Expression(Line);

sealed record TextNode(string Text, int Line) : Node(Line);

sealed record Output(Expression Value, int Line) : Node(Line);

/// <summary>Branches in order; one without a condition is the else.</summary>
sealed record If(IReadOnlyList<(Expression? Condition, IReadOnlyList<Node> Body)> Branches, int Line) : Node(Line);

sealed record For(IReadOnlyList<string> Targets, Expression Items, Expression? Condition, IReadOnlyList<Node> Body, IReadOnlyList<Node> Otherwise, int Line) : Node(Line);

/// <summary><c>set a = value</c>, <c>set a.b = value</c>, or with a body for a value.</summary>
sealed record Set(IReadOnlyList<string> Names, string? Attribute, Expression? Value, IReadOnlyList<Node> Body, int Line) : Node(Line);

sealed record Macro(string Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Node> Body, int Line) : Node(Line);

/// <summary>A body in a scope of its own: generation, and call blocks have none.</summary>
sealed record Block(IReadOnlyList<Node> Body, int Line) : Node(Line);

/// <summary>break or continue.</summary>
sealed record Jump(bool Breaks, int Line) : Node(Line);

/// <summary><c>filter name(...)</c> over a body.</summary>
sealed record FilterBlock(Filter Filter, IReadOnlyList<Node> Body, int Line) : Node(Line);
