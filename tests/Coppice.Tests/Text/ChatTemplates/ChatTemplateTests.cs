using System.Text.Json.Nodes;
using Coppice.Tensors;
using Coppice.Text.ChatTemplates;

namespace Coppice.Tests.Text.ChatTemplates;

public class ChatTemplateTests
{
    static readonly ChatMessage[] Conversation = [new("system", "Be brief."), new("user", "Hi"), new("assistant", "Yo")];

    static readonly ChatTemplateOptions Options = new() { Now = new DateTimeOffset(2025, 7, 9, 13, 4, 5, TimeSpan.Zero) };

    /// <summary>What Jinja 3.1.6 writes, with Transformers' settings (trim_blocks, lstrip_blocks, loop controls, its own tojson).</summary>
    [Theory]
    [InlineData("{{ messages[0].content }}", "Be brief.")]
    [InlineData("{% for m in messages %}{{ m['role'] }}{{ ',' if not loop.last }}{% endfor %}", "system,user,assistant")]
    [InlineData("a\n  {% if true %}\n  b\n  {% endif %}\n  {{ 'c' }}\n", "a\n  b\n  c")]
    [InlineData("a {%- if true -%}  b  {%- endif %} c\n\n", "ab c\n")]
    [InlineData("x\n    {%+ if true %}d{% endif +%}\ny", "x\n    d\ny")]
    [InlineData("1{# c #}\n 2 {#- d -#} 3", "1 23")]
    [InlineData("{{ [1, 2.5, 'a', none, true, {'k': \"it's\"}] }}", "[1, 2.5, 'a', None, True, {'k': \"it's\"}]")]
    [InlineData("{{ {'a': [1, 'é\\n']} | tojson }}", "{\"a\": [1, \"é\\n\"]}")]
    [InlineData("{{ {'b': 1, 'a': {'c': [], 'd': [1]}} | tojson(indent=2) }}", "{\n  \"b\": 1,\n  \"a\": {\n    \"c\": [],\n    \"d\": [\n      1\n    ]\n  }\n}")]
    [InlineData("{{ 'it\\'s \"q\"\\t' ~ 1 ~ none ~ 2.0 }}", "it's \"q\"\t1None2.0")]
    [InlineData("{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1 + 2 * 3 - 4 }} {{ 'x' * 3 }}", "3 -4 2 3.5 1024 3 xxx")]
    [InlineData("{{ 'Hello World'[::-1] }} {{ 'abcdef'[1:4] }} {{ [1,2,3][-2:] }} {{ 'abc'[-1] }} {{ [1,2,3][:2] }}", "dlroW olleH bcd [2, 3] c [1, 2]")]
    [InlineData("{{ x is defined }} {{ x is not defined }} {{ x | default('d') }} {{ '' | default('d', true) }} {{ x or 'y' }}", "False True d d y")]
    [InlineData("{{ none is none }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is iterable }} {{ 3 is number }} {{ true is boolean }} {{ 3 is odd }} {{ true is true }}", "True True True True True True True True")]
    [InlineData("{{ messages | map(attribute='role') | join('+') }}", "system+user+assistant")]
    [InlineData("{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'in', ['user']) | map(attribute='content') | list }}", "1 ['Be brief.', 'Yo']")]
    [InlineData("{{ [0, 1, '', 'a'] | select | list }} {{ [1, 2, 3] | reject('odd') | list }} {{ ['a','b'] | map('upper') | join }}", "[1, 'a'] [2] AB")]
    [InlineData("{{ 'a b  c'.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.split(',')[-1] }} {{ ' x '.strip() }} {{ 'xxaxx'.strip('x') }} {{ 'abc'.rstrip('c') }}", "['a', 'b', 'c'] ['a', 'b,c'] c x a ab")]
    [InlineData("{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abcabc'.replace('b', 'z', 1) }} {{ 'aB c'.title() }} {{ 'abc'.find('c') }}", "True True azcabc Ab C 2")]
    [InlineData("{{ 'hello wORLD' | title }} {{ 'abc' | upper | replace('B', 'z') }} {{ '  a ' | trim }}! {{ 'hello' | capitalize }} {{ 'abc' | length }} {{ 'a\\nb' | indent(3) }} {{ 'a\\nb' | indent(2, true) }}", "Hello World AzC a! Hello 3 a\n   b   a\n  b")]
    [InlineData("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set q = 1 %}{% endfor %}{{ ns.n }}{{ q is defined }}", "3False")]
    [InlineData("{% macro f(a, b='x') %}[{{ a }}|{{ b }}]{% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(b=3, a=4) }}", "[1|x][1|2][4|3]")]
    [InlineData("{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}", "0134")]
    [InlineData("{% for k, v in {'x': 1, 'y': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in {'x': 1} | items %}{{ k }}{% endfor %}", "x=1;y=2;x")]
    [InlineData("{% for x in [] %}a{% else %}none{% endfor %}", "none")]
    [InlineData("{% for m in messages if m.role != 'system' %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.revindex0 }}{{ loop.previtem is defined }}{{ loop.nextitem.role if loop.nextitem is defined }};{% endfor %}", "1/2True1Falseassistant;2/2False0True;")]
    [InlineData("{% set z %}block {{ 1 + 1 }}{% endset %}{{ z }}{% set a, b = 1, 2 %}{{ a }}{{ b }}", "block 212")]
    [InlineData("{{ 'a' in 'abc' and not 'd' in 'abc' }} {{ 'q' not in ['a'] }} {{ 'k' in {'k': 1} }} {{ 1 < 2 and 2 <= 2 and 'a' < 'b' }} {{ 1 == 1.0 }}", "True True True True True")]
    [InlineData("{{ 'a' if false }}{{ 1 if 2 > 1 else 3 }}{{ ('t' if true else 'f') ~ 'x' }}", "1tx")]
    [InlineData("{{ [3, 1, 2] | sort }} {{ [1, 2] | sum }} {{ [1, 1, 2] | unique | list }} {% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %} {{ '3' | int + 1 }} {{ 'x' | int }} {{ 3.7 | int }} {{ -3 | abs }}", "[1, 2, 3] 3 [1, 2] a2b1 4 0 3 3")]
    [InlineData("{{ {'a': {'b': [1, {'c': 'deep'}]}}.a.b[1].c }} {{ {'a': 1}.get('b', 5) }} {{ {'a': 1}.keys() | list }} {{ {'a': 1}['zz'] is defined }}", "deep 5 ['a'] False")]
    [InlineData("{{ strftime_now('%d %b %Y, %H:%M %A %j') }}", "09 Jul 2025, 13:04 Wednesday 190")]
    [InlineData("{% if messages | length > 5 %}a{% elif messages[0].role == 'system' %}b{% else %}c{% endif %}{{ bos_token }}{{ add_generation_prompt }}", "b<s>True")]
    [InlineData("{{ 10.25 }} {{ 1e3 }} {{ 100000000000000000000.0 }} {{ 1.0 }}", "10.25 1000.0 1e+20 1.0")]
    [InlineData("{{ 'long' if messages | length > 9 else 'short' }}", "short")]
    [InlineData("{% filter upper %}ab{{ 'c' }}{% endfilter %}", "ABC")]
    public void Writes_what_Jinja_writes(string template, string text) => Assert.Equal(text, new ChatTemplate(template, "<s>", "</s>").Render(Conversation, Options));

    [Fact]
    public void A_generation_block_is_its_body() => Assert.Equal("a[Yo]b", new ChatTemplate("a{% generation %}[{{ messages[2].content }}]{% endgeneration %}b").Render(Conversation));

    [Fact]
    public void Further_variables_and_messages_in_parts_reach_the_template()
    {
        JsonArray messages = [new JsonObject { ["role"] = "user", ["content"] = new JsonArray(new JsonObject { ["type"] = "text", ["text"] = "one" }, new JsonObject { ["type"] = "image" }) }];
        ChatTemplateOptions options = new() { AddGenerationPrompt = false, Variables = new JsonObject { ["tools"] = new JsonArray(new JsonObject { ["name"] = "f", ["n"] = 1 }) } };
        ChatTemplate template = new("{% for p in messages[0].content %}{{ p.text if p.type == 'text' else '<image>' }}{% endfor %}{{ tools | tojson }}{{ add_generation_prompt }}");
        Assert.Equal("""one<image>[{"name": "f", "n": 1}]False""", template.Render(messages, options));
    }

    [Theory]
    [InlineData("{% if true %}", "line 1: 'endif' is missing")]
    [InlineData("a\n{{ 1 + }}", "line 2: the end of the mark stands where a value is wanted")]
    [InlineData("{{ 'a }}", "line 1: a text is not closed")]
    [InlineData("{% include 'x' %}", "line 1: the statement 'include' is not known")]
    [InlineData("{# never", "line 1: a comment is not closed")]
    [InlineData("{{ a", "line 1: '}}' is missing")]
    [InlineData("{% endif %}", "line 1: the statement 'endif' is not known")]
    public void A_damaged_template_is_refused_with_its_line(string source, string message) =>
        Assert.Equal($"The chat template is damaged at {message}", Assert.Throws<CoppiceException>(() => new ChatTemplate(source)).Message);

    [Theory]
    [InlineData("{{ raise_exception('Roles must alternate') }}", "line 1: Roles must alternate")]
    [InlineData("\n\n{{ x.y }}", "line 3: 'x' is undefined")]
    [InlineData("{{ 1 + 'a' }}", "line 1: '+' is not for a number and a text")]
    [InlineData("{{ 'a' | rot13 }}", "line 1: the filter 'rot13' is not known")]
    [InlineData("{{ 1 is prime }}", "line 1: the test 'prime' is not known")]
    [InlineData("{{ 1 // 0 }}", "line 1: a division by 0")]
    [InlineData("{{ x() }}", "line 1: 'x', which is undefined, cannot be called")]
    [InlineData("{% set messages.a = 1 %}", "line 1: 'messages' is no namespace, so that 'a' cannot be set")]
    [InlineData("{{ 9223372036854775807 + 1 }}", "line 1: a whole number is too large")]
    public void What_fails_names_its_line(string source, string message) =>
        Assert.Equal($"The chat template failed at {message}", Assert.Throws<TemplateFailure>(() => new ChatTemplate(source).Render(Conversation)).Message);

    [Theory]
    [InlineData("{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') %}{% for a in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}")]
    [InlineData("{{ 'a' * 1000000000000 }}")]
    [InlineData("{{ range(1000000000) | list }}")]
    [InlineData("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}")]
    [InlineData("{% set ns = namespace(l=[1, 2, 3, 4]) %}{% for a in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}")]
    [InlineData("{% for a in range(1000000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}")]
    public void A_hostile_template_ends_soon(string source) => Assert.ThrowsAny<CoppiceException>(() => new ChatTemplate(source).Render(Conversation));

    [Fact]
    public void Deep_nesting_is_refused_and_not_a_crash()
    {
        string[] sources =
        [
            "{{ " + new string('(', 100_000) + "1" + new string(')', 100_000) + " }}",
            "{{ " + string.Concat(Enumerable.Repeat("not ", 100_000)) + "1 }}",
            "{{ " + string.Concat(Enumerable.Repeat("1 + ", 200_000)) + "1 }}",
            "{{ x" + string.Concat(Enumerable.Repeat(" | upper", 100_000)) + " }}",
            string.Concat(Enumerable.Repeat("{% if true %}", 50_000)),
            "{{ " + new string('-', 100_000) + "1 }}",
        ];
        Assert.All(sources, source => Assert.ThrowsAny<CoppiceException>(() => new ChatTemplate(source).Render(Conversation)));
    }

    [Fact]
    public void Mutations_of_a_template_either_render_or_are_refused_in_one_line()
    {
        const string Source = "{% set ns = namespace(n=0) %}{% for m in messages if m.role != 'x' %}{% if loop.first and (m['role'] == 'system') %}{{- m.content | trim ~ '\\n' }}{% elif ns.n > 1 %}{% set ns.n = ns.n + 1 %}{% else %}{{ m.content[:2] | upper }}{% endif %}{% endfor %}{{ [1, {'a': 2}] | tojson(indent=2) }}";
        Random random = new(5);
        for (int i = 0; i < 3000; i++)
        {
            char[] letters = Source.ToCharArray();
            for (int j = random.Next(1, 4); j > 0; j--)
                letters[random.Next(letters.Length)] = random.Next(3) == 0 ? "{}%'\"()[]|.-:,=~"[random.Next(16)] : letters[random.Next(letters.Length)];
            try
            {
                new ChatTemplate(new string(letters)).Render(Conversation);
            }
            catch (CoppiceException)
            {
                // refused, which is right as well
            }
        }
    }
}
