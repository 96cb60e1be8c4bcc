using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;

namespace Coppice.Report.Charts;

/// <summary>Text in a drawing. (In a Razor file <c>text</c> is not an element but a directive.)</summary>
public sealed class Label : ComponentBase
{
    /// <summary>Place, in percent of the drawing or in pixels.</summary>
    [Parameter, EditorRequired] public string X { get; set; } = "0";

    /// <summary>Place of the baseline.</summary>
    [Parameter, EditorRequired] public string Y { get; set; } = "0";

    /// <summary>Pixels to the right of it.</summary>
    [Parameter] public double Right { get; set; }

    /// <summary>Pixels below it.</summary>
    [Parameter] public double Down { get; set; }

    /// <summary><c>start</c>, <c>middle</c> or <c>end</c>.</summary>
    [Parameter] public string Anchor { get; set; } = "start";

    /// <summary>For the style sheet.</summary>
    [Parameter] public string? Class { get; set; }

    /// <summary>The words.</summary>
    [Parameter] public RenderFragment? ChildContent { get; set; }

    /// <inheritdoc/>
    protected override void BuildRenderTree(RenderTreeBuilder builder)
    {
        builder.OpenElement(0, "text");
        builder.AddAttribute(1, "x", X);
        builder.AddAttribute(2, "y", Y);
        builder.AddAttribute(3, "dx", Format.Css(Right));
        builder.AddAttribute(4, "dy", Format.Css(Down));
        builder.AddAttribute(5, "text-anchor", Anchor);
        builder.AddAttribute(6, "class", Class);
        builder.AddContent(7, ChildContent);
        builder.CloseElement();
    }
}
